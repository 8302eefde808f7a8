/** The attributes of the tag's script, see docs/tag.md. All but `site` and `api` are off unless given. */
export interface Options {
  /** The site's key, or several: each event is sent for each of them. */
  site: string | string[];
  /** The collector's address, such as "https://px.example.com/". */
  api: string;
  /** The hosts that count, each with its subdomains; "*" is any. Default: all but this machine. */
  hosts?: string | string[];
  /** The visitor's answer, where it is known. */
  consent?: boolean;
  /** Send no page views automatically. */
  manual?: boolean;
  /** The fragment is part of the page's address. */
  hash?: boolean;
  /** A tab opened in the background counts when it is first seen. */
  seen?: boolean;
  /** Keep unsent events for the next page. */
  keep?: boolean;
  links?: boolean;
  contact?: boolean;
  events?: boolean;
  forms?: boolean;
  scroll?: boolean;
  notFound?: boolean;
  debug?: boolean;
  /** Other domains of the site, to which links take the visitor's id. */
  domains?: string | string[];
  /** "tcf 1 7 8" or "gcm analytics_storage". */
  cmp?: string;
  /** Nonce of the Content Security Policy, for the second script. */
  nonce?: string;
}

export interface Fields {
  value?: string | number;
  currency?: string;
  id?: string;
  user_id?: string;
  props?: Record<string, string | number | boolean>;
  url?: string;
  referrer?: string;
  title?: string;
}

/** Start the tag, once a page; further calls do nothing. On a server nothing happens. */
export declare function init(options: Options): void;

/** Send an event; before `init`, keep it. On a server nothing happens. */
export declare function pharos(event: string, fields?: Fields): void;

/** Report the visitor's answer. */
export declare function consent(given: boolean): void;

export default pharos;

declare global {
  interface Window {
    /** Called with each event before it is queued; `false` drops it. */
    pharosBefore?: (event: Record<string, unknown>) => boolean | void;
  }
}

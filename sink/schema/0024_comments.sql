-- What SQL editors show about tables, views and columns. `make fmt` makes this file from columns.toml.
-- It is the last migration: a view that is created again has no comment.

ALTER TABLE pharos.arrivals MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.arrivals_counted MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.attributed MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.attribution MODIFY COMMENT 'Conversions in [since, until), credited to the touches that led to them by one rule model. Rows add up exactly. Call it as attribution(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, model, half_life_days). Columns: channel, source, medium, campaign, currency, conversions, value, gross.';

ALTER TABLE pharos.attribution_markov MODIFY COMMENT 'Conversions in [since, until), shared by removal effect in a Markov chain over all paths. Call it as attribution_markov(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, by, max_names). Columns: name, currency, conversions, value, gross, removal_effect.';

ALTER TABLE pharos.attribution_models MODIFY COMMENT 'The same as `attribution`, with every rule model in one read: two columns a model. Call it as attribution_models(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, half_life_days). Columns: channel, source, medium, campaign, currency, conversions_first, conversions_last, conversions_last_non_direct, conversions_linear, conversions_position, conversions_time_decay, conversions_shapley, value_first, value_last, value_last_non_direct, value_linear, value_position, value_time_decay, value_shapley.';

ALTER TABLE pharos.attribution_shapley MODIFY COMMENT 'Conversions in [since, until), shared by the Shapley value of the names. Call it as attribution_shapley(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, by). Columns: name, currency, conversions, value, gross.';

ALTER TABLE pharos.audience MODIFY COMMENT 'Visitor ids of people who met the goal at least min_count times, without those who refused. Call it as audience(site, since, until, tz, event, min_count). Columns: visitor_id, user_id, last_seen, times.';

ALTER TABLE pharos.audience_exports MODIFY COMMENT 'Exports of audiences: when, which, how many. It names no person. A table.';

ALTER TABLE pharos.audience_exports
    COMMENT COLUMN at 'When.',
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN audience 'Name of the definition.',
    COMMENT COLUMN target 'csv or webhook.',
    COMMENT COLUMN form 'Whose columns the list had: meta, google, tiktok or own.',
    COMMENT COLUMN members 'People in the audience then.',
    COMMENT COLUMN added 'Of them new since the last run.',
    COMMENT COLUMN gone 'Not in it any more.',
    COMMENT COLUMN done_by 'User of ClickHouse.';

ALTER TABLE pharos.audience_where MODIFY COMMENT '`audience` with more conditions: another goal not met, value, channel. Call it as audience_where(site, since, until, tz, event, min_count, without, min_value, currency, channel). Columns: visitor_id, user_id, person, last_seen, times, value.';

ALTER TABLE pharos.authenticated MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.campaigns MODIFY COMMENT 'Campaigns with visits, conversions or costs in [since, until), money in one currency. Call it as campaigns(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, model, half_life_days, currency, others). Columns: source, medium, campaign, channel, visits, visitors, conversions, value, cost, clicks, impressions, roas, cpa.';

ALTER TABLE pharos.changed MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_arrivals MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_begun MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_counts MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_days MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_ids MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_restless MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_sessions MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.closed_touches MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.conversions MODIFY COMMENT 'Events in [since, until) that meet the goal, once each, refunds netted. Call it as conversions(site, since, until, tz, event). Columns: site, event, event_id, occurred_at, kind, visitor_id, user_id, client_event_id, value, gross, currency, person.';

ALTER TABLE pharos.conversions_cut MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.converting MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.costs MODIFY COMMENT 'What campaigns cost by day; loaded by the operator. A table.';

ALTER TABLE pharos.costs
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN day 'Day of the advertising account.',
    COMMENT COLUMN source 'Source that its visits have: google.',
    COMMENT COLUMN medium 'Medium that its visits have: cpc.',
    COMMENT COLUMN campaign 'Campaign that its visits have: the utm_campaign of the ad\'s link.',
    COMMENT COLUMN cost 'What was spent, in `currency`.',
    COMMENT COLUMN currency 'Three letters: EUR. Money of two currencies is never added.',
    COMMENT COLUMN clicks 'Clicks, as the platform counts them.',
    COMMENT COLUMN impressions 'Times shown, as the platform counts them.',
    COMMENT COLUMN loaded_at 'When the row was loaded: of rows with one key the last counts.';

ALTER TABLE pharos.credited MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.credits MODIFY COMMENT 'A row for each touch of each conversion in [since, until): what `attribution` adds up. Call it as credits(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore, model, half_life_days). Columns: converted_at, conversion_id, person, touched_at, touch_id, position, of, kind, channel, source, medium, campaign, content, term, link_code, landing_path, device, country, weight, credit, gross_credit, currency.';

ALTER TABLE pharos.erasures MODIFY COMMENT 'Erasures: when, of which site, how many events. It names no person. A table.';

ALTER TABLE pharos.erasures
    COMMENT COLUMN at 'When.',
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN what 'visitor, user or before.',
    COMMENT COLUMN events 'Rows of event_log that were deleted.',
    COMMENT COLUMN left 'Rows that the proof query still found: 0.',
    COMMENT COLUMN done_by 'User of ClickHouse.';

ALTER TABLE pharos.event_log MODIFY COMMENT 'Storage: a row a copy of an event. Ask `events`.';

ALTER TABLE pharos.event_log
    COMMENT COLUMN event_id 'Id of the event: a UUID, the same for every copy of it.',
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN event 'Name of the event: pageview, purchase, ...',
    COMMENT COLUMN kind 'How it came: pixel, tag, click, open or server.',
    COMMENT COLUMN received_at 'When the collector had it, UTC.',
    COMMENT COLUMN occurred_at 'When it happened, UTC.',
    COMMENT COLUMN version 'Which copy of one event id wins: the greatest.',
    COMMENT COLUMN visitor_id 'Browser: by its cookie, or the cookieless id of one day. Empty: not known.',
    COMMENT COLUMN visitor_kind 'What visitor_id is: cookie, cookieless or none.',
    COMMENT COLUMN user_id 'Person, by the id that the site\'s login gave. Empty: not known.',
    COMMENT COLUMN client_event_id 'Id that the sender gave, such as an order\'s number. It makes copies one event.',
    COMMENT COLUMN url 'Page, personal data masked.',
    COMMENT COLUMN host 'Host of the page, lower case.',
    COMMENT COLUMN path 'Path of the page, without the query.',
    COMMENT COLUMN title 'Title of the page.',
    COMMENT COLUMN referrer 'Page before, personal data masked.',
    COMMENT COLUMN referrer_host 'Host of the page before.',
    COMMENT COLUMN referrer_name 'Name of the site before, where it is known: YouTube.',
    COMMENT COLUMN referrer_kind 'Kind of the site before: internal, search, social, video, email, ai, shopping, other or none.',
    COMMENT COLUMN search_term 'What was searched for, where the referrer says so.',
    COMMENT COLUMN utm_source 'utm_source as sent.',
    COMMENT COLUMN utm_medium 'utm_medium as sent.',
    COMMENT COLUMN utm_campaign 'utm_campaign as sent.',
    COMMENT COLUMN utm_term 'utm_term as sent.',
    COMMENT COLUMN utm_content 'utm_content as sent.',
    COMMENT COLUMN utm_id 'utm_id as sent.',
    COMMENT COLUMN utm_source_platform 'utm_source_platform as sent.',
    COMMENT COLUMN utm_creative_format 'utm_creative_format as sent.',
    COMMENT COLUMN utm_marketing_tactic 'utm_marketing_tactic as sent.',
    COMMENT COLUMN source 'Source, normalised: google, newsletter, (direct).',
    COMMENT COLUMN medium 'Medium, normalised: cpc, email, organic, (none).',
    COMMENT COLUMN campaign 'Campaign, normalised; empty without one.',
    COMMENT COLUMN channel 'Channel: GA4\'s default groups, and AI Assistants.',
    COMMENT COLUMN click_id_name 'Name of the click id: gclid, msclkid, ...',
    COMMENT COLUMN click_id 'Click id of the ad network or mail tool.',
    COMMENT COLUMN link_code 'Code of the named link that was followed.',
    COMMENT COLUMN message_id 'Mail that was opened: its id.',
    COMMENT COLUMN list_id 'List or campaign of the mail.',
    COMMENT COLUMN value 'Money that the event reports, in `currency`.',
    COMMENT COLUMN currency 'Three letters: EUR. Money of two currencies is never added.',
    COMMENT COLUMN user_agent 'User agent as received; erased after 90 days. Analysts may not read it.',
    COMMENT COLUMN browser 'Browser: Firefox.',
    COMMENT COLUMN browser_version 'Version of the browser.',
    COMMENT COLUMN os 'Operating system: Android.',
    COMMENT COLUMN os_version 'Version of the system.',
    COMMENT COLUMN device 'Device: desktop, smartphone, tablet, tv, console, wearable, car or other.',
    COMMENT COLUMN is_bot 'Whether it is a bot\'s. Bots are flagged, not dropped.',
    COMMENT COLUMN bot_reason 'Name of the bot, or of the rule that flagged it.',
    COMMENT COLUMN open_kind 'Who opened the mail: human, proxy, prefetch or scanner.',
    COMMENT COLUMN language 'First language of the browser: de.',
    COMMENT COLUMN country 'Country, two letters: AT.',
    COMMENT COLUMN region 'Region of the country, as ISO 3166-2 codes it.',
    COMMENT COLUMN city 'City.',
    COMMENT COLUMN ip 'Address as the site\'s policy left it; erased after 30 days. Analysts may not read it.',
    COMMENT COLUMN consent 'Consent when it happened: given, refused, unknown or assumed.',
    COMMENT COLUMN props 'Properties that the sender gave: props[\'plan\'].',
    COMMENT COLUMN enriched_by 'Version of the rules that made the row.',
    COMMENT COLUMN dropped 'Fields that were sent and could not be used: their columns are empty.',
    COMMENT COLUMN visit_code 'What sessions need to know of the event; made at insert. Not for people.',
    COMMENT COLUMN reader 'Keyed hash of day, address and user agent of a mail\'s reader; 0 if not known.',
    COMMENT COLUMN origin 'Source, medium, campaign and channel as one text; made at insert. Not for people.';

ALTER TABLE pharos.event_rows MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.events MODIFY COMMENT 'Each event once, with every column. A page within the site has channel Internal.';

ALTER TABLE pharos.events
    COMMENT COLUMN event_id 'Id of the event: a UUID, the same for every copy of it.',
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN event 'Name of the event: pageview, purchase, ...',
    COMMENT COLUMN kind 'How it came: pixel, tag, click, open or server.',
    COMMENT COLUMN received_at 'When the collector had it, UTC.',
    COMMENT COLUMN occurred_at 'When it happened, UTC.',
    COMMENT COLUMN visitor_id 'Browser: by its cookie, or the cookieless id of one day. Empty: not known.',
    COMMENT COLUMN visitor_kind 'What visitor_id is: cookie, cookieless or none.',
    COMMENT COLUMN user_id 'Person, by the id that the site\'s login gave. Empty: not known.',
    COMMENT COLUMN client_event_id 'Id that the sender gave, such as an order\'s number. It makes copies one event.',
    COMMENT COLUMN url 'Page, personal data masked.',
    COMMENT COLUMN host 'Host of the page, lower case.',
    COMMENT COLUMN path 'Path of the page, without the query.',
    COMMENT COLUMN title 'Title of the page.',
    COMMENT COLUMN referrer 'Page before, personal data masked.',
    COMMENT COLUMN referrer_host 'Host of the page before.',
    COMMENT COLUMN referrer_name 'Name of the site before, where it is known: YouTube.',
    COMMENT COLUMN referrer_kind 'Kind of the site before: internal, search, social, video, email, ai, shopping, other or none.',
    COMMENT COLUMN search_term 'What was searched for, where the referrer says so.',
    COMMENT COLUMN utm_source 'utm_source as sent.',
    COMMENT COLUMN utm_medium 'utm_medium as sent.',
    COMMENT COLUMN utm_campaign 'utm_campaign as sent.',
    COMMENT COLUMN utm_term 'utm_term as sent.',
    COMMENT COLUMN utm_content 'utm_content as sent.',
    COMMENT COLUMN utm_id 'utm_id as sent.',
    COMMENT COLUMN utm_source_platform 'utm_source_platform as sent.',
    COMMENT COLUMN utm_creative_format 'utm_creative_format as sent.',
    COMMENT COLUMN utm_marketing_tactic 'utm_marketing_tactic as sent.',
    COMMENT COLUMN source 'Source, normalised; (internal) for a page within the site.',
    COMMENT COLUMN medium 'Medium, normalised: cpc, email, organic, (none).',
    COMMENT COLUMN campaign 'Campaign, normalised; empty without one.',
    COMMENT COLUMN channel 'Channel of this event; Internal for a page within the site. Ask `sessions` for what brought the visit.',
    COMMENT COLUMN click_id_name 'Name of the click id: gclid, msclkid, ...',
    COMMENT COLUMN click_id 'Click id of the ad network or mail tool.',
    COMMENT COLUMN link_code 'Code of the named link that was followed.',
    COMMENT COLUMN message_id 'Mail that was opened: its id.',
    COMMENT COLUMN list_id 'List or campaign of the mail.',
    COMMENT COLUMN value 'Money that the event reports, in `currency`.',
    COMMENT COLUMN currency 'Three letters: EUR. Money of two currencies is never added.',
    COMMENT COLUMN user_agent 'User agent as received; erased after 90 days. Analysts may not read it.',
    COMMENT COLUMN browser 'Browser: Firefox.',
    COMMENT COLUMN browser_version 'Version of the browser.',
    COMMENT COLUMN os 'Operating system: Android.',
    COMMENT COLUMN os_version 'Version of the system.',
    COMMENT COLUMN device 'Device: desktop, smartphone, tablet, tv, console, wearable, car or other.',
    COMMENT COLUMN is_bot 'Whether it is a bot\'s. Bots are flagged, not dropped.',
    COMMENT COLUMN bot_reason 'Name of the bot, or of the rule that flagged it.',
    COMMENT COLUMN open_kind 'Who opened the mail: human, proxy, prefetch or scanner.',
    COMMENT COLUMN language 'First language of the browser: de.',
    COMMENT COLUMN country 'Country, two letters: AT.',
    COMMENT COLUMN region 'Region of the country, as ISO 3166-2 codes it.',
    COMMENT COLUMN city 'City.',
    COMMENT COLUMN ip 'Address as the site\'s policy left it; erased after 30 days. Analysts may not read it.',
    COMMENT COLUMN consent 'Consent when it happened: given, refused, unknown or assumed.',
    COMMENT COLUMN props 'Properties that the sender gave: props[\'plan\'].',
    COMMENT COLUMN enriched_by 'Version of the rules that made the row.',
    COMMENT COLUMN dropped 'Fields that were sent and could not be used: their columns are empty.',
    COMMENT COLUMN authenticated '1 if a server sent the event, or a copy of it, with its token.';

ALTER TABLE pharos.events_between MODIFY COMMENT 'Events in [since, until), each once, without address and user agent: for hours or days. Call it as events_between(site, since, until, tz). Columns: event_id, site, event, kind, received_at, occurred_at, visitor_id, visitor_kind, user_id, client_event_id, url, host, path, title, referrer, referrer_host, referrer_name, referrer_kind, search_term, utm_source, utm_medium, utm_campaign, utm_term, utm_content, utm_id, utm_source_platform, utm_creative_format, utm_marketing_tactic, source, medium, campaign, channel, click_id_name, click_id, link_code, message_id, list_id, value, currency, browser, browser_version, os, os_version, device, is_bot, bot_reason, open_kind, language, country, region, city, consent, props, enriched_by, dropped, authenticated.';

ALTER TABLE pharos.events_by_id MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.events_of_shard MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.findings MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.findings_counted MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.funnel MODIFY COMMENT 'How many people did the steps, in order, within window_hours of the first, which lies in [since, until). Call it as funnel(site, since, until, tz, steps, window_hours). Columns: step, event, visitors, rate.';

ALTER TABLE pharos.funnel_by MODIFY COMMENT 'The funnel for each value of a dimension, with the time between steps. Call it as funnel_by(site, since, until, tz, steps, window_hours, by). Columns: step, goal, name, visitors, rate, median_s.';

ALTER TABLE pharos.goal_events MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.health MODIFY COMMENT 'Events in [since, until), bots\' too, counted by what says whether they can be trusted. Call it as health(site, since, until, tz). Columns: part, name, events.';

ALTER TABLE pharos.hot MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.identities MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.journeys MODIFY COMMENT 'Conversions in [since, until), each with the touches that led to it. Call it as journeys(site, conversion, lookback_days, since, until, tz, restart, touch_kinds, ignore). Columns: occurred_at, event_id, visitor_id, user_id, person, value, gross, currency, touches, path.';

ALTER TABLE pharos.landing_pages MODIFY COMMENT 'Pages on which sessions of people began in [since, until), and how these went on. Call it as landing_pages(site, since, until, tz, conversion). Columns: landing_page, visits, visitors, bounces, bounce_rate, views_per_visit, engaged_s_per_visit, converted, conversion_rate, value.';

ALTER TABLE pharos.late_rows MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.loose_touches MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.mail_opens MODIFY COMMENT 'Messages with their opens and clicks in [since, until). Call it as mail_opens(site, since, until, tz). Columns: message, list, opens, human, proxy, prefetch, scanner, unique_human, clicks, scanner_clicks.';

ALTER TABLE pharos.names MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.open_window MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.packed_paths MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.packed_touches MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.packed_touches_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.paths MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.people MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.person_events MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.persons MODIFY COMMENT 'People with an event in [since, until), mail opens apart. All figures are of that window. Call it as persons(site, since, until, tz, conversion). Columns: person, visitor_ids, first_seen, last_seen, visits, first_channel, first_source, first_medium, first_campaign, conversions, first_converted_at, last_converted_at, value.';

ALTER TABLE pharos.plan MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.question MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.rare_events MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.rates MODIFY COMMENT 'Rates of exchange; loaded by the operator. A table.';

ALTER TABLE pharos.rates
    COMMENT COLUMN day 'First day on which the rate applies.',
    COMMENT COLUMN currency 'From: USD.',
    COMMENT COLUMN into 'To: EUR.',
    COMMENT COLUMN rate 'Units of `into` for one unit of `currency`.',
    COMMENT COLUMN loaded_at 'When the row was loaded: of rows with one key the last counts.';

ALTER TABLE pharos.reader_key MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.realtime MODIFY COMMENT 'The half hour up to a moment, minute by minute. Call it as realtime(site, at, tz). Columns: minute, events, views, visitors.';

ALTER TABLE pharos.recent MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.refunds MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.refusals MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.restless MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.retention MODIFY COMMENT 'Cohorts by the day of the first such event, and how many people were there again, day by day. Call it as retention(site, since, until, tz, event). Columns: cohort, day, visitors, rate.';

ALTER TABLE pharos.session_details MODIFY COMMENT 'Sessions of people that began in [since, until), with what happened in them. Call it as session_details(site, since, until, tz, goals, history_days). Columns: person, visitor_id, session_id, started_at, ended_at, number, days_since_last, events, views, engaged_s, bounce, goals, landing_page, exit_page, channel, source, medium, campaign, content, term, link_code, device, browser, os, language, country, value.';

ALTER TABLE pharos.session_measures MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.session_measures_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sessions MODIFY COMMENT 'Sessions of all sites, people\'s and bots\'. Reads everything that is stored: `sessions_between` reads a window.';

ALTER TABLE pharos.sessions
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN visitor_id 'Browser: by its cookie, or the cookieless id of one day. Empty: not known.',
    COMMENT COLUMN session_id 'Id of the session\'s first event.',
    COMMENT COLUMN started_at 'When the session began, UTC.',
    COMMENT COLUMN ended_at 'When its last event happened, UTC.',
    COMMENT COLUMN entry_page 'Path of the first page of the session.',
    COMMENT COLUMN exit_page 'Path of the last page of the session.',
    COMMENT COLUMN source 'Source, normalised: google, newsletter, (direct).',
    COMMENT COLUMN medium 'Medium, normalised: cpc, email, organic, (none).',
    COMMENT COLUMN campaign 'Campaign, normalised; empty without one.',
    COMMENT COLUMN channel 'Channel: GA4\'s default groups, and AI Assistants.',
    COMMENT COLUMN events 'Events in it.',
    COMMENT COLUMN value 'Money of its events by currency: value[\'EUR\'].',
    COMMENT COLUMN is_bot 'Whether it is a bot\'s. Bots are flagged, not dropped.';

ALTER TABLE pharos.sessions_between MODIFY COMMENT 'Sessions that began in [since, until): people\'s and bots\'. Call it as sessions_between(site, since, until, tz). Columns: site, visitor_id, session_id, started_at, ended_at, entry_page, exit_page, source, medium, campaign, channel, events, value, is_bot.';

ALTER TABLE pharos.sessions_cut MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sessions_of_shard MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sessions_open MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sessions_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sessions_raw MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.settled MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.shard MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.sites MODIFY COMMENT 'The time zone of each site, from sites.toml; the sink writes it. A table: ask it with FINAL.';

ALTER TABLE pharos.sites
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN time_zone 'IANA name: Europe/Berlin.',
    COMMENT COLUMN stored_at 'When the sink wrote it.';

ALTER TABLE pharos.standing MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.tagging MODIFY COMMENT 'How arrivals in [since, until) were tagged: as sent, what it became, what looks wrong. Call it as tagging(site, since, until, tz). Columns: sent_source, sent_medium, sent_campaign, sent_id, click_id_name, referrer_host, source, medium, campaign, channel, rule, near_source, near_medium, near_campaign, faults, arrivals, visitors.';

ALTER TABLE pharos.tagging_counts MODIFY COMMENT '`tagging` without visitors, from the sums of closed days. Call it as tagging_counts(site, since, until, tz). Columns: sent_source, sent_medium, sent_campaign, sent_id, click_id_name, referrer_host, source, medium, campaign, channel, rule, near_source, near_medium, near_campaign, faults, arrivals.';

ALTER TABLE pharos.tagging_of MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.top_pages MODIFY COMMENT 'Pages viewed in [since, until). Call it as top_pages(site, since, until, tz). Columns: path, views, visitors, entries.';

ALTER TABLE pharos.touch_details MODIFY COMMENT 'Touches in [since, until) with their person and what their own event says. Call it as touch_details(site, since, until, tz). Columns: person, visitor_id, occurred_at, event_id, kind, channel, source, medium, campaign, content, term, link_code, landing_path, device, country.';

ALTER TABLE pharos.touch_events MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.touch_events_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.touches MODIFY COMMENT 'Touches of all sites. Reads everything that is stored: `touches_between` reads a window.';

ALTER TABLE pharos.touches
    COMMENT COLUMN site 'Site key.',
    COMMENT COLUMN visitor_id 'Browser: by its cookie, or the cookieless id of one day. Empty: not known.',
    COMMENT COLUMN user_id 'Person by login, where there is no visitor_id.',
    COMMENT COLUMN occurred_at 'When it happened, UTC.',
    COMMENT COLUMN event_id 'Id of the event: a UUID, the same for every copy of it.',
    COMMENT COLUMN kind 'arrival of a session, click on a link of ours, or open of a mail by a human.',
    COMMENT COLUMN source 'Source, normalised: google, newsletter, (direct).',
    COMMENT COLUMN medium 'Medium, normalised: cpc, email, organic, (none).',
    COMMENT COLUMN campaign 'Campaign, normalised; empty without one.',
    COMMENT COLUMN channel 'Channel: GA4\'s default groups, and AI Assistants.';

ALTER TABLE pharos.touches_between MODIFY COMMENT 'Touches in [since, until): arrivals of sessions, clicks on links of ours, mails opened by humans. Call it as touches_between(site, since, until, tz). Columns: site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel.';

ALTER TABLE pharos.touches_cut MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.touches_of_shard MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.touches_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.touches_raw MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.visit_counts MODIFY COMMENT 'Visits of people in [before, until): all, by day, by source and by entry page, of days before `since` and from it on. Call it as visit_counts(site, since, until, tz, before). Columns: now, day, channel, source, medium, campaign, entry_page, all_days, all_sources, all_pages, visits, visitors.';

ALTER TABLE pharos.visit_counts_planned MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.visit_details MODIFY COMMENT 'Sessions that began in [since, until), people\'s and bots\', with what their first event says. Call it as visit_details(site, since, until, tz). Columns: site, visitor_id, session_id, started_at, ended_at, entry_page, exit_page, source, medium, campaign, channel, events, value, is_bot, content, term, link_code, device, country.';

ALTER TABLE pharos.visit_events MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.visit_plan MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.visit_rows MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.visitor_events MODIFY COMMENT 'What one visitor did, each event once, without address and user agent. Call it as visitor_events(site, visitor). Columns: event_id, site, event, kind, received_at, occurred_at, visitor_id, visitor_kind, user_id, client_event_id, url, host, path, title, referrer, referrer_host, referrer_name, referrer_kind, search_term, utm_source, utm_medium, utm_campaign, utm_term, utm_content, utm_id, utm_source_platform, utm_creative_format, utm_marketing_tactic, source, medium, campaign, channel, click_id_name, click_id, link_code, message_id, list_id, value, currency, browser, browser_version, os, os_version, device, is_bot, bot_reason, open_kind, language, country, region, city, consent, props, enriched_by, dropped, authenticated.';

ALTER TABLE pharos.visits MODIFY COMMENT 'A part of other views; it may change.';

ALTER TABLE pharos.whole_days MODIFY COMMENT 'A part of other views; it may change.';

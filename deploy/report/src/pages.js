// The pages of the shell, in the order of their tabs. A page: {id, title, show(root, context)}; show may return a
// function that ends what it began. context: {clickhouse, values, go(changes, page?), sites, saved, reload()}.
import * as live from "./pages/live.js";
import * as links from "./pages/links.js";
import * as report from "./pages/report.js";

export const PAGES = [report, live, links];

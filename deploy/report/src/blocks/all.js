// The questions of the report, in the order of use.
import * as changes from "./changes.js";
import * as channels from "./channels.js";
import * as codes from "./codes.js";
import * as cohorts from "./cohorts.js";
import * as days from "./days.js";
import * as funnel from "./funnel.js";
import * as headline from "./headline.js";
import * as health from "./health.js";
import * as journeys from "./journeys.js";
import * as letters from "./letters.js";
import * as models from "./models.js";
import * as pages from "./pages.js";
import * as posts from "./posts.js";
import * as returns from "./returns.js";
import * as visitors from "./visitors.js";

export const BLOCKS = [headline, days, channels, models, posts, codes, changes, letters, returns, pages, funnel, journeys, visitors, cohorts, health];

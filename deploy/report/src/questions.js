// The SQL that is asked, with the state's values in it. Blocks that need the same answer share its question; what such a
// block shows can also be had by a shorter question of its own, in questions/shown.
import codes_shown from "../questions/shown/codes.sql";
import channels_shown from "../questions/shown/channels.sql";
import changes_shown from "../questions/shown/changes.sql";
import cohorts_sql from "../questions/cohorts.sql";
import costs_sql from "../questions/costs.sql";
import credits_sql from "../questions/credits.sql";
import days_shown from "../questions/shown/days.sql";
import funnel_sql from "../questions/funnel.sql";
import headline_shown from "../questions/shown/headline.sql";
import health_sql from "../questions/health.sql";
import journeys_shown from "../questions/shown/journeys.sql";
import letters_shown from "../questions/shown/letters.sql";
import letters_sql from "../questions/letters.sql";
import markov_sql from "../questions/markov.sql";
import models_sql from "../questions/models.sql";
import pages_shown from "../questions/shown/pages.sql";
import returns_shown from "../questions/shown/returns.sql";
import tagging_sql from "../questions/tagging.sql";
import visitors_shown from "../questions/shown/visitors.sql";
import visitors_sql from "../questions/visitors.sql";
import posts_shown from "../questions/shown/posts.sql";
import visits_filtered_sql from "../questions/visits_filtered.sql";
import visits_sql from "../questions/visits.sql";
import { fill } from "./sql.js";

/** Values of a question: without comparison nothing before the period is read. */
const values = (state) => ({ ...state, before: state.compare ? state.before : state.since, steps: state.steps.join(",") });
const question = (sql, filtered = false) => (state) => fill(sql, values(state), filtered ? state.filter : {});

/** Closed days have sums of all visits; those that filters choose are counted one by one. */
export const visits = (state) => question(Object.keys(state.filter).length ? visits_filtered_sql : visits_sql, true)(state);
export const credits = question(credits_sql, true);
export const letters = question(letters_sql);
export const funnel = question(funnel_sql);
export const cohorts = question(cohorts_sql);
export const health = question(health_sql);
export const models = question(models_sql);
export const markov = question(markov_sql);
export const costs = question(costs_sql);

export const visitors = question(visitors_sql, true);
export const tagging = question(tagging_sql);

/** The questions about visits and, where there is a conversion to ask about, its credits. */
export const visitsAndCredits = (state) => (state.askable ? { visits: visits(state), credits: credits(state) } : { visits: visits(state) });

const SHOWN = { channels: channels_shown, codes: codes_shown, changes: changes_shown, days: days_shown, headline: headline_shown, journeys: journeys_shown, letters: letters_shown, pages: pages_shown, posts: posts_shown, returns: returns_shown, visitors: visitors_shown };

/** The SQL of one block: its rows and no others. Without a conversion it is the question about visits. */
export const shown = (name, state, currency) =>
  state.askable ? fill(SHOWN[name], { ...values(state), currency, filtered: Object.keys(state.filter).length ? 1 : 0 }, state.filter) : visits(state);

// The SQL that the blocks share, with the state's values in it.
import credits_sql from "../questions/credits.sql";
import sold_sql from "../questions/sold.sql";
import visits_sql from "../questions/visits.sql";
import { fill } from "./sql.js";

const from = (state) => ({ ...state, before: state.compare ? state.before : state.since });

export const visits = (state) => fill(visits_sql, from(state), state.filter);
export const sold = (state) => fill(sold_sql, from(state));
export const credits = (state) => fill(credits_sql, from(state), state.filter);

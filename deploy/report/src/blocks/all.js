// The questions of the report, in the order of use.
import * as channels from "./channels.js";
import * as days from "./days.js";
import * as headline from "./headline.js";

export const BLOCKS = [headline, days, channels];

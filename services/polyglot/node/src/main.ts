// A host for Node: `PLAN OPTIONS...`, as the machine's supervisor writes them, and the agents that
// it contains.
import { AGENT as pageText } from "./agents/page_text/agent.js";
import { serve } from "./kit/serve.js";

await serve([pageText], process.argv.slice(2));

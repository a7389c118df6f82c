// Makes the calls that a test asks for and counts who answered: see ../README.md.
const { contracts, dial, dialAddress, failureOf, grpc } = require("tandem-client");

const TOLD_EVERY = 50;
const CODES = Object.fromEntries(Object.entries(grpc.status).map(([name, code]) => [code, name]));

function once(agent, headers) {
  return new Promise((resolve) => {
    const started = process.hrtime.bigint();
    const tookS = () => Number(process.hrtime.bigint() - started) / 1e9;
    const call = agent.measureText({ text: "hello" }, headers, (error, answer) => {
      if (error) resolve({ error, tookS: tookS() });
      else if (answer.codePoints !== "5") resolve({ error: Error("wrong answer"), tookS: tookS() });
      else resolve({ who: call.getPeer(), tookS: tookS() });
    });
  });
}

async function run(agent, asked) {
  const found = { answers: {}, failures: {}, slowest_s: 0, last_failure: "" };
  const headers = new grpc.Metadata();
  for (const [name, value] of Object.entries(asked.headers)) headers.set(name, value);
  let [left, made] = [asked.count, 0];
  const caller = async () => {
    while (left-- > 0) {
      const { error, who, tookS } = await once(agent, headers);
      if (error) {
        const code = CODES[error.code] ?? "UNKNOWN";
        found.failures[code] = (found.failures[code] ?? 0) + 1;
        found.last_failure = error.message;
      } else {
        found.answers[who] = (found.answers[who] ?? 0) + 1;
      }
      found.slowest_s = Math.max(found.slowest_s, tookS);
      if (++made % TOLD_EVERY === 0) console.log(JSON.stringify({ made }));
      if (asked.pause_ms) await new Promise((resolve) => setTimeout(resolve, asked.pause_ms));
    }
  };
  await Promise.all(Array.from({ length: asked.at_once }, caller));
  return found;
}

function refusal(agent) {
  return new Promise((resolve) => {
    agent.convertQuantity({ quantity: { value: 26.2, unit: "mile" } }, (error) => {
      const { errorInfo, badRequest } = failureOf(error);
      const fields = badRequest.fieldViolations.map((broken) => broken.field);
      const { reason, domain } = errorInfo;
      resolve({ code: CODES[error.code], reason, domain, fields });
    });
  });
}

async function main() {
  const asked = JSON.parse(process.argv[2]);
  const fleet = asked.address ? dialAddress(asked.address) : dial();
  const agent = fleet.client(contracts.tandem.utility.v1.ToolboxService);
  const told = await (asked.refused ? refusal(agent) : run(agent, asked));
  fleet.close();
  console.log(JSON.stringify(told));
  process.exit(0);
}

main();

// Calls one agent: `node example.js` over the mesh, `node example.js HOST:PORT` over the edge.
const { contracts, dial, dialAddress, failureOf } = require("./dist");

const fleet = process.argv[2] ? dialAddress(process.argv[2]) : dial();
const agent = fleet.client(contracts.@@full_service@@);
agent.@@method@@({@@fields@@}, { deadline: Date.now() + 10_000 }, (error, answer) => {
  if (error) console.error(error.message, failureOf(error));
  else console.log(answer);
  fleet.close();
});

// What a plan wants of this host: which of the program's agents, by which names, with which
// settings.
import { readFileSync } from "node:fs";

import { create, fromBinary } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";

import { PlannedHostSchema } from "../../gen/tandem/fleet/v1/plan_pb.js";
import type { PlannedAgent } from "../../gen/tandem/fleet/v1/plan_pb.js";
import type { Agent } from "./agent.js";
import { BadOptions } from "./options.js";
import type { Placed } from "./tenants.js";
import { violations } from "./validation.js";

/** Its agents with their settings. Throws BadOptions. */
export function placedOf(path: string, program: readonly Agent[]): Placed[] {
  let wire: Buffer;
  try {
    wire = readFileSync(path);
  } catch (error) {
    throw new BadOptions(`the plan cannot be read: ${(error as Error).message}`);
  }
  return fromBinary(PlannedHostSchema, wire).agents.map((one) => placed(one, program));
}

/** One of them, by its plan. Throws BadOptions. */
export function placed(planned: PlannedAgent, program: readonly Agent[]): Placed {
  const agent = program.find((one) => one.contract.service === planned.service);
  if (agent === undefined) {
    const known = program.map((one) => one.contract.service).join(", ");
    throw new BadOptions(`${planned.service} is no agent of this program; it has ${known}`);
  }
  const settings = settingsOf(agent, planned);
  const broken = violations(agent.settings, settings).map(
    (one) => `${one.field}: ${one.description}`,
  );
  if (broken.length) throw new BadOptions(`settings of ${planned.name}: ${broken.join("; ")}`);
  return { agent, settings, name: planned.name || agent.contract.name, added: false };
}

/** Throws BadOptions where they are not those that the agent takes. */
function settingsOf(agent: Agent, planned: PlannedAgent): Message {
  const said = planned.settings;
  if (said === undefined) return create(agent.settings);
  const found = said.typeUrl.slice(said.typeUrl.lastIndexOf("/") + 1);
  if (found !== agent.settings.typeName) {
    throw new BadOptions(`${planned.name} is given ${found}, and takes ${agent.settings.typeName}`);
  }
  return fromBinary(agent.settings, said.value);
}

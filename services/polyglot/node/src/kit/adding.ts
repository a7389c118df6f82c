// Instances that come to the running host, and go again.
import { equals } from "@bufbuild/protobuf";

import { ErrorReason } from "../../gen/tandem/control/v1/errors_pb.js";
import type { PlannedAgent } from "../../gen/tandem/fleet/v1/plan_pb.js";
import type { Agent } from "./agent.js";
import { CallerError, TransientError } from "./failure.js";
import { BadOptions } from "./options.js";
import { placed } from "./plan.js";
import { TooLate, within } from "./signals.js";
import { Tenant } from "./tenants.js";
import type { Asked, Placed, Site } from "./tenants.js";

const [ANSWER_MS_MAX, RETRY_MS, CAUSE_CHARS_MAX] = [20_000, 1000, 500];

/** `program` says what may be added. Of one name there is one instance at a time. */
export class Adding {
  constructor(
    private readonly tenants: Map<string, Tenant>,
    private readonly program: readonly Agent[],
    private readonly site: Site,
  ) {}

  /** The instance, and whether it was there before. */
  async add(wanted: PlannedAgent, asked: Asked): Promise<[Tenant, boolean]> {
    const placed = this.placed(wanted);
    const found = this.tenants.get(placed.name);
    if (found) {
      checkSame(found, placed);
      return [found, true];
    }
    const tenant = new Tenant(placed, this.site);
    this.tenants.set(tenant.name, tenant);
    try {
      await within(ANSWER_MS_MAX, tenant.begin(asked), "it goes on");
    } catch (error) {
      if (error instanceof TooLate) return [tenant, false];
      await this.forget(tenant);
      const cause = String(error).slice(0, CAUSE_CHARS_MAX);
      const message = "the instance could not be built; its cause says why";
      throw new TransientError(ErrorReason.AGENT_UNBUILT, message, RETRY_MS, {
        name: tenant.name,
        cause,
      });
    }
    return [tenant, false];
  }

  /** Returns whether there was none. */
  async remove(name: string, asked: Asked): Promise<boolean> {
    const tenant = this.tenants.get(name);
    if (tenant === undefined) return true;
    if (!tenant.placed.added) {
      const message = "the instance belongs to the plan of its host; stop or suspend it instead";
      throw new CallerError(ErrorReason.AGENT_PLANNED, message, { name });
    }
    tenant.want("STOPPED", asked);
    try {
      await within(ANSWER_MS_MAX, this.forget(tenant), "it goes on");
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
    }
    return false;
  }

  private async forget(tenant: Tenant): Promise<void> {
    await tenant.vacate();
    this.tenants.delete(tenant.name);
    this.site.news.tell();
  }

  private placed(wanted: PlannedAgent): Placed {
    const agent = this.program.find((one) => one.contract.service === wanted.service);
    if (agent === undefined) {
      const why = `the program contains ${this.program.map((one) => one.contract.service).join(", ")}`;
      const message = "the program of the host contains no agent of that contract";
      throw new CallerError(ErrorReason.AGENT_NOT_IN_PROGRAM, message, {
        service: wanted.service,
        why,
      });
    }
    if (!wanted.name.startsWith(`${agent.contract.name}-`)) {
      throw refused(
        "name",
        wanted,
        `an instance that is added is called ${agent.contract.name} with a suffix after a hyphen`,
      );
    }
    try {
      return { ...placed(wanted, this.program), added: true };
    } catch (error) {
      if (error instanceof BadOptions) throw refused("settings", wanted, error.message);
      throw error;
    }
  }
}

function refused(field: string, wanted: PlannedAgent, why: string): CallerError {
  const metadata = { field: `agent.${field}`, name: wanted.name, why };
  return new CallerError(
    ErrorReason.INSTANCE_REFUSED,
    "the instance cannot be as it is asked for",
    metadata,
  );
}

function checkSame(found: Tenant, placed: Placed): void {
  const { agent, settings } = found.placed;
  if (agent === placed.agent && equals(agent.settings, settings, placed.settings)) return;
  const message = "another instance has that name on the host, or other settings; remove it first";
  throw new CallerError(ErrorReason.INSTANCE_DIFFERS, message, {
    name: placed.name,
    service: found.service,
  });
}

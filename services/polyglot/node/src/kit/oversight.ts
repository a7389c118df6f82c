// What the supervisor of a machine sees of the host, and asks of the agents in it. Contract:
// tandem.control.v1.HostService.
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";

import { ErrorReason, ErrorReasonSchema } from "../../gen/tandem/control/v1/errors_pb.js";
import {
  HostService,
  WatchHostResponseSchema,
} from "../../gen/tandem/control/v1/host_service_pb.js";
import type {
  CommandAgentRequest,
  WatchHostResponse,
} from "../../gen/tandem/control/v1/host_service_pb.js";
import { AgentStandingSchema, AgentState, Verb } from "../../gen/tandem/control/v1/machine_pb.js";
import type { AgentStanding } from "../../gen/tandem/control/v1/machine_pb.js";
import type { ChangeNote } from "../../gen/tandem/control/v1/traffic_policy_pb.js";
import type { PlannedAgent } from "../../gen/tandem/fleet/v1/plan_pb.js";
import type { Adding } from "./adding.js";
import { Contract } from "./contract.js";
import { CallerError } from "./failure.js";
import type { Health } from "./health.js";
import type { AnyServicer, Context, Servicer } from "./seat.js";
import { Bell, within } from "./signals.js";
import type { News } from "./signals.js";
import type { Asked, Condition, Tenant } from "./tenants.js";
import { usage } from "./usage.js";

export const CONTRACT = new Contract(HostService, ErrorReasonSchema);
// How old what is told of memory and CPU may be; and less than the method's deadline.
const [USAGE_MS_MAX, ANSWER_MS_MAX] = [5000, 20_000];
const NEAR_MAX = 3;

export class Oversight {
  constructor(
    private readonly tenants: ReadonlyMap<string, Tenant>,
    private readonly adding: Adding,
    private readonly health: Health,
    private readonly news: News,
  ) {}

  get servicer(): AnyServicer {
    const servicer: Servicer<typeof HostService> = {
      watchHost: (_request, context) => this.watch(context),
      commandAgent: async (request) => await this.command(request),
      addAgent: async (request) => {
        const [tenant, wasSoAlready] = await this.adding.add(
          request.agent as PlannedAgent,
          askedBy(request.note),
        );
        return { agent: this.standing(tenant), wasSoAlready };
      },
      removeAgent: async (request) => ({
        wasSoAlready: await this.adding.remove(request.name, askedBy(request.note)),
      }),
    };
    return servicer as unknown as AnyServicer;
  }

  private async *watch(context: Context): AsyncGenerator<WatchHostResponse> {
    const changed = new Bell();
    const unhear = this.news.listen(() => changed.ring());
    context.signal.addEventListener("abort", () => changed.ring());
    try {
      while (!context.signal.aborted) {
        const said = this.said();
        yield said;
        if (said.draining) return;
        await changed.heard(USAGE_MS_MAX);
      }
    } finally {
      unhear();
    }
  }

  private async command(request: CommandAgentRequest) {
    const tenant = this.tenant(request.agent);
    const wasSoAlready = await this.do(request.verb, tenant, askedBy(request.note));
    return { agent: this.standing(tenant), wasSoAlready };
  }

  private tenant(name: string): Tenant {
    const found = this.tenants.get(name);
    if (found) return found;
    const near = nearest(name, [...this.tenants.keys()]).join(", ");
    throw new CallerError(ErrorReason.AGENT_NOT_ON_HOST, "the host has no agent of that name", {
      field: "agent",
      name,
      near,
    });
  }

  /** Returns whether there was nothing to do. */
  private async do(verb: Verb, tenant: Tenant, asked: Asked): Promise<boolean> {
    switch (verb) {
      case Verb.START:
      case Verb.RESUME:
        return !tenant.isDown || (await soon(tenant.begin(asked)));
      case Verb.STOP:
        return tenant.wants === "STOPPED" || (await soon(tenant.end("STOPPED", asked)));
      case Verb.SUSPEND:
        return tenant.isDown || (await soon(tenant.end("SUSPENDED", asked)));
      case Verb.RESTART:
        return await soon(tenant.isDown ? tenant.begin(asked) : tenant.restart(asked));
      case Verb.DRAIN:
        return turned(tenant, "SERVING", "DRAINING", asked);
      default:
        return turned(tenant, "DRAINING", "SERVING", asked);
    }
  }

  private said(): WatchHostResponse {
    const { memoryBytes, cpuS } = usage();
    return create(WatchHostResponseSchema, {
      agents: [...this.tenants.values()].map((one) => this.standing(one)),
      draining: this.health.draining,
      memoryBytes: BigInt(memoryBytes),
      cpu: durationFromMs(Math.round(cpuS * 1000)),
    });
  }

  private standing(tenant: Tenant): AgentStanding {
    const [condition, cause] = tenant.condition;
    const { calledMs } = tenant;
    return create(AgentStandingSchema, {
      name: tenant.name,
      service: tenant.service,
      state: AgentState[condition],
      cause: cause ?? "",
      restarts: tenant.restarts,
      added: tenant.placed.added,
      callsInProgress: tenant.calls,
      ...(calledMs === undefined ? {} : { lastCallTime: timestampFromMs(calledMs) }),
    });
  }
}

/** Validation has seen to it that there is one. */
function askedBy(note: ChangeNote | undefined): Asked {
  return { by: note?.author ?? "", why: note?.reason ?? "" };
}

/** Returns whether it was not `before`, and stays as it is. */
function turned(tenant: Tenant, before: Condition, after: Condition, asked: Asked): boolean {
  if (tenant.wants !== before) return true;
  tenant.want(after, asked);
  return false;
}

/**
 * Waits for it, not for ever: what was asked for holds all the same. Returns that it was not so
 * already.
 */
async function soon(work: Promise<void>): Promise<boolean> {
  // What it failed of, or that it goes on, its standing says.
  await within(ANSWER_MS_MAX, work, "it goes on").catch(() => undefined);
  return false;
}

/** Names that share most of their pairs of letters with this one. */
export function nearest(name: string, known: readonly string[]): string[] {
  const pairs = (text: string) =>
    new Set([...text].slice(1).map((char, place) => `${text[place]}${char}`));
  const own = pairs(name);
  const scored = known.map((one): [number, string] => {
    const others = pairs(one);
    const both = [...own].filter((pair) => others.has(pair)).length;
    return [(2 * both) / (own.size + others.size || 1), one];
  });
  return scored
    .filter(([score]) => score >= 0.6)
    .sort(([left], [right]) => right - left)
    .slice(0, NEAR_MAX)
    .map(([, one]) => one);
}

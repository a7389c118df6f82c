// What the host says of itself over HTTP: `/health` for probes and people, `/metrics` for
// Prometheus.
import type { Family } from "./exposition.js";
import { buckets, mediaType, textOf } from "./exposition.js";
import type { Health } from "./health.js";
import type { Answer } from "./http.js";
import type { Tally } from "./tally.js";
import type { Tenant } from "./tenants.js";
import { families, usage } from "./usage.js";

/**
 * Who answers: the host's name in its fleet, the version that traffic is weighed by, and its limits
 * in words.
 */
export interface Identity {
  readonly host: string;
  readonly machine: string;
  readonly version: string;
  readonly limits: readonly string[];
}

export class Face {
  private readonly startedMs = performance.now();

  constructor(
    private readonly health: Health,
    private readonly tenants: ReadonlyMap<string, Tenant>,
    private readonly tallies: readonly Tally[],
    private readonly identity: Identity,
  ) {}

  /** The answer to a GET. */
  page(path: string, accept: string): Answer {
    if (path === "/metrics") {
      const media = mediaType(accept);
      return { status: 200, body: textOf(this.families(), media), mediaType: media };
    }
    if (path === "/health" || path === "/health/") return this.host();
    const tenant = path.startsWith("/health/")
      ? this.tenants.get(path.slice("/health/".length))
      : undefined;
    if (tenant) return json(this.agent(tenant), tenant.condition[0] === "SERVING");
    const pages = [
      "/health",
      ...[...this.tenants.keys()].map((name) => `/health/${name}`),
      "/metrics",
    ];
    return {
      status: 404,
      body: `${JSON.stringify({ error: "there is no such page", pages })}\n`,
      mediaType: "application/json",
    };
  }

  private host(): Answer {
    const agents = [...this.tenants.values()].map((one) => this.agent(one));
    const { memoryBytes, cpuS } = usage();
    const serves = agents.every((one) => one["status"] === "SERVING");
    const status = this.health.draining ? "DRAINING" : serves ? "SERVING" : "NOT_SERVING";
    const { host, machine, version, limits } = this.identity;
    const uptime = (performance.now() - this.startedMs) / 1000;
    const used = { uptime_s: rounded(uptime), memory_bytes: memoryBytes, cpu_s: rounded(cpuS) };
    return json({ status, agents, version, ...used, host, machine, limits }, serves);
  }

  private agent(tenant: Tenant): Record<string, unknown> {
    const [status, cause] = tenant.condition;
    const own = this.tallies.filter((one) => one.service === tenant.service);
    const seconds = own
      .flatMap((one) => [...one.ended.values()])
      .reduce((sum, one) => sum + one.sumS, 0);
    return {
      name: tenant.name,
      service: tenant.service,
      status,
      cause: cause ?? null,
      calls: own.reduce((sum, one) => sum + one.started, 0),
      calls_s: Math.round(seconds * 1e6) / 1e6,
      workers_cpu_s: 0,
    };
  }

  private families(): Family[] {
    const tenants = [...this.tenants.values()].map((one) => ({
      one,
      labels: { agent: one.name, service: one.service },
    }));
    const labels = (tally: Tally) => ({ grpc_method: tally.method });
    return [
      {
        name: "grpc_server_call_started",
        kind: "counter",
        meaning: "Calls that began.",
        samples: this.tallies.map((one) => ({ value: one.started, labels: labels(one) })),
      },
      {
        name: "grpc_server_call_duration_seconds",
        kind: "histogram",
        meaning: "From the moment that a call reached the server's loop to its status.",
        samples: this.tallies.flatMap((one) =>
          [...one.ended].flatMap(([code, found]) =>
            buckets({ ...labels(one), grpc_status: code }, found),
          ),
        ),
      },
      {
        name: "tandem_agent_up",
        kind: "gauge",
        meaning: "1 where the agent serves, else 0.",
        samples: tenants.map(({ one, labels: own }) => ({
          value: Number(one.isServing),
          labels: own,
        })),
      },
      {
        name: "tandem_agent_restarts",
        kind: "counter",
        meaning: "How often the agent was built again.",
        samples: tenants.map(({ one, labels: own }) => ({ value: one.restarts, labels: own })),
      },
      ...families(),
    ];
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function json(value: Record<string, unknown>, serves: boolean): Answer {
  return {
    status: serves ? 200 : 503,
    body: `${JSON.stringify(value)}\n`,
    mediaType: "application/json",
  };
}

// One process, one event loop, one gRPC server, many agents: the one composition root.
import type { Server as HttpServer } from "node:http";

import { create } from "@bufbuild/protobuf";

import { HostSchema } from "../../gen/tandem/control/v1/registration_pb.js";
import type { Host as Registered } from "../../gen/tandem/control/v1/registration_pb.js";
import { Adding } from "./adding.js";
import type { Agent } from "./agent.js";
import { Announcer } from "./announcer.js";
import { stored } from "./contract.js";
import { collector, resourceAttributes } from "./environment.js";
import { Face } from "./face.js";
import { SERVICE as HEALTH, Health } from "./health.js";
import { httpPort } from "./http.js";
import { Logger } from "./log.js";
import type { Membership, Options } from "./options.js";
import { CONTRACT as HOST_CONTRACT, Oversight } from "./oversight.js";
import { heed } from "./policy.js";
import { Pulse } from "./pulse.js";
import { SERVICES as REFLECTION, Reflection } from "./reflection.js";
import { Report } from "./report.js";
import { Server } from "./server.js";
import { News } from "./signals.js";
import { Tenant } from "./tenants.js";
import type { Placed } from "./tenants.js";
import { Token } from "./token.js";
import { Exporter } from "./trace.js";
import { byFile, byKey } from "./vouching.js";
import type { Credential } from "./vouching.js";

const LOGGER = new Logger("tandemkit.hosting");

export class Host {
  private readonly health = new Health();
  private readonly news = new News();
  private readonly tenants = new Map<string, Tenant>();
  private readonly token: Token | undefined;
  private readonly credential: Credential | undefined;
  private readonly exporter: Exporter | undefined;
  private readonly report: Report;
  private readonly server: Server;
  private readonly reflection: Reflection;
  private http: HttpServer | undefined;
  private pulse: Pulse | undefined;
  private announcer: Announcer | undefined;
  private readonly ending = new AbortController();

  /** Throws TokenRefused. */
  constructor(
    private readonly placed: readonly Placed[],
    private readonly program: readonly Agent[],
    private readonly options: Options,
  ) {
    this.token = options.open ? undefined : Token.kept(options.tokenFile);
    const { membership } = options;
    // Told now, if the key cannot be used.
    if (membership?.credential) this.credential = byFile(membership.credential);
    else if (membership && this.token) this.credential = byKey(this.token);
    const endpoint = collector();
    if (endpoint) this.exporter = new Exporter(endpoint, this.resource());
    this.report = new Report(options.traceShare, this.exporter);
    this.server = new Server(this.report, this.token);
    this.reflection = new Reflection(this.contracts, () => [
      HEALTH,
      ...REFLECTION,
      ...this.server.services,
    ]);
  }

  /**
   * Returns when all agents are built, calls are taken, and the fleet is being told. Rejects where
   * that cannot be.
   */
  async start(): Promise<void> {
    const { options, server } = this;
    if (options.pulse)
      this.pulse = new Pulse(
        options.pulse,
        this.placed.map((one) => ({ agent: one.name, path: "" })),
      );
    if (options.http)
      this.http = await httpPort(options.http, this.ownNames, (path, accept) =>
        this.face.page(path, accept),
      );
    const site = { server, health: this.health, news: this.news, stateDir: options.state };
    for (const one of this.placed) this.tenants.set(one.name, new Tenant(one, site));
    for (const one of this.tenants.values()) await one.begin();
    const adding = new Adding(this.tenants, this.program, site);
    server.plumb(
      HOST_CONTRACT,
      new Oversight(this.tenants, adding, this.health, this.news).servicer,
    );
    server.also(this.health.definition, this.health.handlers, true);
    for (const one of REFLECTION)
      server.also(this.reflection.definition(one), this.reflection.handlers, true);
    const port = await server.start(options.listen, options.socket);
    const host = options.listen.slice(0, options.listen.lastIndexOf(":"));
    const address = options.listen.startsWith("unix:") ? options.listen : `${host}:${port}`;
    LOGGER.info("host.serving", { address, agents: this.placed.map((one) => one.name) });
    if (options.membership) this.announce(options.membership, port);
  }

  /** Out of the fleet first, then no more calls; what is in progress may finish. */
  async end(): Promise<void> {
    LOGGER.info("host.draining", { grace_s: this.options.graceMs / 1000 });
    await this.announcer?.leave();
    this.ending.abort();
    this.health.drain();
    this.news.tell();
    this.reflection.drain();
    await this.server.drain(this.options.graceMs);
    for (const one of this.tenants.values()) await one.closeNow();
    await this.exporter?.flush();
    this.http?.close();
    this.http?.closeAllConnections();
    this.pulse?.close();
    LOGGER.info("host.stopped");
  }

  /** Of all that the program contains: any of it may be added. */
  private get contracts() {
    return this.program.map((one) => one.contract);
  }

  private get ownNames(): string[] {
    return this.options.membership ? [this.options.membership.address] : [];
  }

  private get face(): Face {
    return (this.madeFace ??= new Face(
      this.health,
      this.tenants,
      this.report.tallies,
      this.identity,
    ));
  }

  private madeFace: Face | undefined;

  private get identity() {
    const member = this.options.membership;
    const { limits } = this.options;
    if (!member) return { host: "", machine: "", version: "", limits };
    return {
      host: `hosts/${member.hostName}`,
      machine: member.machine,
      version: member.versionLabel,
      limits,
    };
  }

  private announce(member: Membership, port: number): void {
    // Those of the program too, for its agents may be added.
    const known = [...this.placed.map((one) => one.agent), ...this.program];
    const contracts = new Map(known.map((one) => [one.contract.service, stored(one.contract)]));
    const roster = (): Registered =>
      create(HostSchema, {
        name: `hosts/${member.hostName}`,
        machine: member.machine,
        group: member.group,
        address: member.address,
        port,
        version: member.versionLabel,
        placements: [...this.tenants.values()].map((one) => ({
          service: one.service,
          instance: one.name === one.placed.agent.contract.name ? "" : one.name,
          serving: one.isServing,
          contractDigest: contracts.get(one.service)?.digest ?? "",
        })),
      });
    const said = {
      controls: member.controls,
      leaseMs: member.leaseMs,
      roster,
      contracts: [...contracts.values()],
      news: this.news,
    };
    this.announcer = new Announcer({ ...said, token: this.token, credential: this.credential });
    const work = [
      this.announcer.hold(),
      heed(member.controls, this.token, this.server, this.ending.signal),
    ];
    // Neither ends before the host does: what makes one fail is a fault, and ends the process.
    void Promise.all(work);
  }

  /** The process's name among others that send spans, and what its environment says goes before. */
  private resource(): ReadonlyMap<string, string> {
    const families = new Set(this.placed.map((one) => one.name.split("-")[0] ?? ""));
    const [only] = this.placed;
    const own =
      this.placed.length === 1 && only
        ? only.name
        : families.size === 1
          ? [...families].join()
          : "tandem";
    return new Map([["service.name", own], ...resourceAttributes()]);
  }
}

// The agents of a host, life after life: built, served, put down and taken up again.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import type { Message } from "@bufbuild/protobuf";

import type { Agent } from "./agent.js";
import { Reason, ofPlatform, restarting } from "./failure.js";
import type { Refusal } from "./failure.js";
import type { Health } from "./health.js";
import { Logger } from "./log.js";
import type { Seat } from "./seat.js";
import type { Server } from "./server.js";
import { pauseMs, sleep } from "./signals.js";
import type { News } from "./signals.js";

const [FINISHED_MS_MAX, LOOK_MS] = [10_000, 20];
const LOGGER = new Logger("tandemkit.hosting");

/** How an agent is, in the words of `/health` and of `tandem.control.v1.AgentState`. */
export type Condition = "SERVING" | "NOT_SERVING" | "DRAINING" | "SUSPENDED" | "STOPPED";

/** Who wanted something, and why. */
export interface Asked {
  readonly by: string;
  readonly why: string;
}

/** What all agents of a host share. */
export interface Site {
  readonly server: Server;
  readonly health: Health;
  readonly news: News;
  readonly stateDir: string;
}

/** An agent, the settings that it runs with here, and its name. */
export interface Placed {
  readonly agent: Agent;
  readonly settings: Message;
  readonly name: string;
  /** Whether it came to the running host, and stands in no plan. */
  readonly added: boolean;
}

export class Tenant {
  private readonly seat: Seat;
  private close: (() => Promise<void>) | undefined;
  private lives = 0;
  private hasServed = false;
  private failures = 0;
  private wanted: Condition = "SERVING";
  private asked: Asked | undefined;
  private cause: string | undefined = "it is being built";
  private work: Promise<void> = Promise.resolve();

  constructor(
    readonly placed: Placed,
    private readonly site: Site,
  ) {
    this.seat = site.server.mount(placed.agent.contract, placed.name, placed.added);
    this.show();
  }

  get name(): string {
    return this.placed.name;
  }

  get service(): string {
    return this.placed.agent.contract.service;
  }

  get restarts(): number {
    return Math.max(this.lives - 1, 0);
  }

  get calls(): number {
    return this.seat.calls;
  }

  get calledMs(): number | undefined {
    return this.seat.calledMs;
  }

  get isServing(): boolean {
    return this.site.health.serving(this.key);
  }

  /** Whether it was stopped or suspended on purpose. */
  get isDown(): boolean {
    return this.wanted === "SUSPENDED" || this.wanted === "STOPPED";
  }

  get wants(): Condition {
    return this.wanted;
  }

  /** How it is for its callers, and why where it does not serve. */
  get condition(): readonly [Condition, string | undefined] {
    if (this.site.health.draining) return ["DRAINING", this.cause ?? "its host drains"];
    if (this.wanted !== "SERVING")
      return [this.wanted, `${this.wanted.toLowerCase()} by ${worded(this.asked)}`];
    return this.isServing ? ["SERVING", undefined] : ["NOT_SERVING", this.cause];
  }

  /** Returns when it serves; rejects with what its `build` did. */
  async begin(asked?: Asked): Promise<void> {
    this.wanted = "SERVING";
    if (asked) this.cause = `it is started by ${worded(asked)}`;
    await this.inTurn(() => this.build());
  }

  /** Calls in progress may finish for ten seconds; then what it held is let go of. */
  async end(wanted: Condition, asked: Asked): Promise<void> {
    this.want(wanted, asked);
    await this.inTurn(() => this.leave());
  }

  async restart(asked: Asked): Promise<void> {
    this.cause = `it is restarted by ${worded(asked)}`;
    this.show();
    this.seat.close(this.refusal());
    await this.inTurn(async () => {
      await this.leave();
      await this.build();
    });
  }

  /** Callers are told at once. */
  want(wanted: Condition, asked: Asked): void {
    this.wanted = wanted;
    this.asked = asked;
    if (this.isDown) this.seat.close(this.refusal());
    this.show();
  }

  /** Gives its place in the host up for good. */
  async vacate(): Promise<void> {
    await this.inTurn(() => this.leave());
    this.site.server.unmount(this.seat);
    this.site.health.forget(this.key);
    this.site.news.tell();
  }

  /** Whatever is in progress: the host has drained. */
  async closeNow(): Promise<void> {
    await this.close?.();
    this.close = undefined;
  }

  private get key(): string {
    return this.placed.added ? this.placed.name : this.service;
  }

  private show(): void {
    const serves = this.cause === undefined && this.wanted === "SERVING";
    this.site.health.put(this.key, serves, this.placed.added);
    this.site.news.tell();
  }

  private async build(): Promise<void> {
    const { agent, settings, name } = this.placed;
    this.lives += 1;
    const stateDir = join(this.site.stateDir, name);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    try {
      const built = await agent.build({ name, stateDir, log: new Logger(name) }, settings as never);
      this.close = built.close;
      this.seat.take(built.servicer);
    } catch (error) {
      this.cause = `it failed: ${String(error).slice(0, 300)}`;
      LOGGER.error("agent.unbuilt", error, { agent: name });
      this.show();
      if (this.hasServed) this.mend();
      throw error;
    }
    this.cause = undefined;
    this.hasServed = true;
    this.failures = 0;
    LOGGER.info("agent.serving", { agent: name });
    this.show();
  }

  /**
   * Tries once more after a while, as long as it is wanted. One that never served is its host's to
   * fail of.
   */
  private mend(): void {
    this.failures += 1;
    const again = () => {
      if (this.wanted === "SERVING" && this.cause !== undefined)
        this.begin().catch(() => undefined);
    };
    setTimeout(again, pauseMs(this.failures, Math.random())).unref();
  }

  private async leave(): Promise<void> {
    const untilMs = performance.now() + FINISHED_MS_MAX;
    while (this.seat.calls && performance.now() < untilMs) await sleep(LOOK_MS);
    this.cause ??= "it ends";
    this.seat.leave(this.refusal());
    await this.closeNow();
  }

  /** One after the other, whoever asks. */
  private async inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.work.catch(() => undefined).then(work);
    this.work = turn;
    await turn;
  }

  private refusal(): Refusal {
    if (!this.isDown || !this.asked) return restarting();
    const message = `the agent was ${this.wanted.toLowerCase()} here by ${worded(this.asked)}`;
    return ofPlatform(Reason.SUSPENDED, message, { by: this.asked.by, why: this.asked.why });
  }
}

/** Who wanted something and why, in a sentence. */
export function worded(asked: Asked | undefined): string {
  if (asked === undefined) return "nobody";
  return asked.why ? `${asked.by}: ${asked.why}` : asked.by;
}

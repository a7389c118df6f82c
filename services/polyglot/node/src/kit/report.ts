// What is kept of a call that is served: its number and duration, a log line where it failed, was
// slow or is sampled, and a span where it is sampled.
import { randomBytes } from "node:crypto";

import { Code } from "./failure.js";
import type { Refusal } from "./failure.js";
import { Logger } from "./log.js";
import type { Level } from "./log.js";
import type { Method } from "./contract.js";
import { Tally } from "./tally.js";
import { Span, arrived, isSampled, traceId } from "./trace.js";
import type { Exporter } from "./trace.js";

const SLOW_MS = 1000;
const LOGGER = new Logger("tandemkit.rpc");
// What the operator should look at; the other codes tell the caller about the caller.
const OURS = new Set([Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.UNIMPLEMENTED]);

/** What a call's wire tells of it. */
export interface Origin {
  readonly peer: string;
  readonly instance: string;
  readonly traceparent: unknown;
  /** When its caller stops waiting, by `Date.now()`; Infinity where it does not say. */
  readonly untilMs: number;
}

/** Decides which calls are worth a line, and which of those without a trace begin one. */
export class Report {
  readonly tallies: Tally[] = [];

  constructor(
    readonly share = 0,
    readonly exporter: Exporter | undefined = undefined,
  ) {}

  tally(method: Method): Tally {
    const made = new Tally(method.desc.parent.typeName, method.path.slice(1));
    this.tallies.push(made);
    return made;
  }

  begin(method: Method, tally: Tally, origin: Origin): Served {
    tally.started += 1;
    const traceparent = arrived(origin.traceparent);
    const sampled = traceparent
      ? isSampled(traceparent)
      : this.share > 0 && Math.random() < this.share;
    const span = sampled ? new Span(method.path, traceparent, this.exporter) : undefined;
    return new Served(method, tally, origin, traceparent, span);
  }
}

/** One call, from its beginning to the one of the ends below that it comes to. */
export class Served {
  private readonly startedMs = performance.now();

  constructor(
    private readonly method: Method,
    private readonly tally: Tally,
    private readonly origin: Origin,
    private readonly arrived: string,
    private readonly span: Span | undefined,
  ) {}

  /** What calls that it leads to hand on. */
  get traceparent(): string {
    return this.span?.traceparent ?? this.arrived;
  }

  answered(bytes: number): void {
    const isSlow = !this.method.streamsOut && this.tookMs >= SLOW_MS;
    if (this.span || isSlow)
      this.line("INFO", this.span ? "rpc.sampled" : "rpc.slow", Code.OK, { bytes });
    this.end(Code.OK, "");
  }

  refused(refusal: Refusal): void {
    const level = OURS.has(refusal.code) ? "WARNING" : "INFO";
    const incident = refusal.metadata["incident"];
    const more = incident ? { incident } : {};
    this.line(level, "rpc.failed", refusal.code, { reason: refusal.reason, ...more });
    this.end(refusal.code, refusal.reason);
  }

  /** A watch ends in no other way, so that says nothing about it. */
  cancelled(): void {
    const isWatch =
      this.method.streamsOut && !this.method.streamsIn && this.method.deadlineMs === undefined;
    if (!isWatch || this.span) this.line("INFO", "rpc.cancelled", Code.CANCELLED, {});
    this.end(Code.CANCELLED, "");
  }

  /** Logs the cause, which the caller must not see, and returns the id that both know. */
  defect(error: unknown): string {
    const incident = randomBytes(8).toString("hex");
    LOGGER.error("rpc.defect", error, { rpc: this.method.path, incident });
    return incident;
  }

  private get tookMs(): number {
    return performance.now() - this.startedMs;
  }

  private end(code: Code, reason: string): void {
    this.tally.end(Code[code], this.tookMs / 1000);
    this.span?.end(code, reason);
  }

  private line(level: Level, event: string, code: Code, more: Record<string, unknown>): void {
    const { peer, instance, untilMs } = this.origin;
    LOGGER.write(level, event, {
      rpc: this.method.path,
      code: Code[code],
      duration_ms: Math.round(this.tookMs * 1000) / 1000,
      peer,
      instance: instance || null,
      deadline_left_ms: untilMs === Infinity ? null : Math.round(untilMs - Date.now()),
      trace_id: traceId(this.traceparent) || null,
      incident: null,
      ...more,
    });
  }
}

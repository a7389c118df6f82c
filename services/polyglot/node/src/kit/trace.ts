// W3C trace context, and sampled calls on their way to a collector: OpenTelemetry's JSON over HTTP.
import { randomBytes } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";

import { Code } from "./failure.js";
import { Logger } from "./log.js";

export const HEADER = "traceparent";
const FORM = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const SERVER_KIND = 2;
const STATUS_ERROR = 2;
const [EXPORT_MS_MAX, BATCH_MS, BATCH_SPANS, SPANS_MAX] = [2000, 5000, 512, 4096];
// With which a server answers for its own fault and not for its caller's.
const OF_THE_SERVER = new Set([
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]);
const LOGGER = new Logger("tandemkit.telemetry");

/** The header as its caller sent it; empty where it sent none that is well formed. */
export function arrived(value: unknown): string {
  return typeof value === "string" && FORM.test(value) ? value : "";
}

export function isSampled(traceparent: string): boolean {
  return traceparent !== "" && (parseInt(traceparent.slice(-2), 16) & 1) === 1;
}

export function traceId(traceparent: string): string {
  return traceparent.slice(3, 35);
}

/**
 * The record of one served call, from its making to `end`. What the call leads to belongs below
 * `traceparent`.
 */
export class Span {
  readonly traceparent: string;
  private readonly startedNs = BigInt(Date.now()) * 1_000_000n;
  private readonly started = process.hrtime.bigint();
  private readonly spanId = randomBytes(8).toString("hex");

  constructor(
    private readonly path: string,
    private readonly parent: string,
    private readonly exporter: Exporter | undefined,
  ) {
    const id = parent ? traceId(parent) : randomBytes(16).toString("hex");
    this.traceparent = `00-${id}-${this.spanId}-${parent ? parent.slice(-2) : "01"}`;
  }

  end(code: Code, reason: string): void {
    if (this.exporter === undefined) return;
    const name = this.path.slice(1);
    const [service = "", method = ""] = name.split("/");
    const isError = OF_THE_SERVER.has(code);
    const attributes = [
      text("rpc.system", "grpc"),
      text("rpc.service", service),
      text("rpc.method", method),
    ];
    attributes.push({ key: "rpc.grpc.status_code", value: { intValue: String(code) } });
    if (reason) attributes.push(text("tandem.error_reason", reason));
    if (isError) attributes.push(text("error.type", Code[code]));
    this.exporter.take({
      traceId: traceId(this.traceparent),
      spanId: this.spanId,
      ...(this.parent ? { parentSpanId: this.parent.slice(36, 52) } : {}),
      name,
      kind: SERVER_KIND,
      startTimeUnixNano: String(this.startedNs),
      endTimeUnixNano: String(this.startedNs + process.hrtime.bigint() - this.started),
      attributes,
      status: isError ? { code: STATUS_ERROR } : {},
    });
  }
}

type Attribute = { key: string; value: { stringValue: string } | { intValue: string } };

function text(key: string, value: string): Attribute {
  return { key, value: { stringValue: value } };
}

/**
 * Sends spans in batches. What a collector does not take in time is lost, and so is what exceeds
 * the queue.
 */
export class Exporter {
  private waiting: object[] = [];
  private timer: NodeJS.Timeout | undefined;
  private under: Promise<void> = Promise.resolve();
  private hasFailed = false;

  constructor(
    private readonly endpoint: string,
    private readonly resource: ReadonlyMap<string, string>,
  ) {}

  take(span: object): void {
    if (this.waiting.length >= SPANS_MAX) return;
    this.waiting.push(span);
    if (this.waiting.length >= BATCH_SPANS) void this.flush();
    else this.timer ??= setTimeout(() => void this.flush(), BATCH_MS).unref();
  }

  /** Returns when all that was taken so far is sent, or lost. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const spans = this.waiting.splice(0);
    if (spans.length) this.under = this.under.then(() => this.send(spans));
    await this.under;
  }

  private async send(spans: object[]): Promise<void> {
    const attributes = [...this.resource].map(([key, value]) => text(key, value));
    const scopeSpans = [{ scope: { name: "tandemkit" }, spans }];
    try {
      await post(
        this.endpoint,
        JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans }] }),
      );
      this.hasFailed = false;
    } catch (error) {
      // Once for each time that the collector goes away.
      if (!this.hasFailed)
        LOGGER.warning("spans.lost", { spans: spans.length, cause: (error as Error).message });
      this.hasFailed = true;
    }
  }
}

async function post(endpoint: string, body: string): Promise<void> {
  const { request } = endpoint.startsWith("https:") ? https : http;
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  await new Promise<void>((resolve, reject) => {
    const asked = request(
      endpoint,
      { method: "POST", headers, timeout: EXPORT_MS_MAX, agent: false },
      (answer) => {
        answer.resume();
        const code = answer.statusCode ?? 0;
        answer.on("end", () =>
          code < 300 ? resolve() : reject(new Error(`the collector answered ${code}`)),
        );
      },
    );
    asked.on("timeout", () => asked.destroy(new Error("the collector did not answer in time")));
    asked.on("error", reject);
    asked.end(body);
  });
}

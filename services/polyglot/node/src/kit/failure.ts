// What a failure looks like on the wire: one canonical code, one reason, and at most one detail of
// each other kind.
import { create, getOption, hasOption, toBinary } from "@bufbuild/protobuf";
import type { DescEnum } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { Any } from "@bufbuild/protobuf/wkt";
import { Metadata, status as Code } from "@grpc/grpc-js";

import {
  BadRequestSchema,
  BadRequest_FieldViolationSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { code as codeOption } from "../../gen/tandem/options/v1/options_pb.js";
import {
  PlatformErrorReason,
  PlatformErrorReasonSchema,
} from "../../gen/tandem/type/v1/platform_error_pb.js";

export { Code };
export { PlatformErrorReason as Reason };

// Trailers past 8 KiB are refused by gRPC itself, and the caller would see that instead of our
// answer.
const VALUE_BYTES_MAX = 256;
const METADATA_BYTES_MAX = 2048;
const VIOLATIONS_BYTES_MAX = 3072;
const RETRY_MS = 100;

/** One field that broke a rule, as a path such as `agents[0].name`. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** How a call ends when it does not end well. */
export interface Refusal {
  readonly code: Code;
  readonly message: string;
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  readonly retryAfterMs: number | undefined;
}

/** Ends a call with an answer that the platform already knows. */
export class Refused extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.message);
  }
}

/**
 * A failure that an agent raises for a reason of its family. What its message mentions stands in
 * `metadata`.
 */
export class AgentFailure extends Error {
  constructor(
    readonly reason: number,
    message: string,
    readonly metadata: Readonly<Record<string, unknown>> = {},
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** The caller's fault: the same call fails again. `field` of the metadata is the field at fault. */
export class CallerError extends AgentFailure {}

/** Nobody's fault for long: the same call may succeed after the delay. */
export class TransientError extends AgentFailure {
  constructor(
    reason: number,
    message: string,
    retryAfterMs: number,
    metadata: Readonly<Record<string, unknown>> = {},
  ) {
    super(reason, message, metadata, retryAfterMs);
  }
}

/** In the terms of the agent's family. Throws where the family does not know the reason. */
export function ofAgent(error: AgentFailure, reasons: DescEnum | undefined): Refusal {
  if (reasons === undefined)
    throw new Error(`the agent's family declares no reasons: ${error.reason}`);
  const { field, ...metadata } = error.metadata;
  const violations =
    field === undefined ? [] : [{ field: String(field), description: error.message }];
  return {
    ...said(reasons, error.reason),
    message: error.message,
    metadata: asText(metadata),
    violations,
    retryAfterMs: error.retryAfterMs,
  };
}

/** A call that the platform ended, whatever the agent behind it. */
export function ofPlatform(
  reason: PlatformErrorReason,
  message: string,
  metadata: Readonly<Record<string, unknown>> = {},
  more: { violations?: readonly Violation[]; retryAfterMs?: number } = {},
): Refusal {
  return {
    ...said(PlatformErrorReasonSchema, reason),
    message,
    metadata: asText(metadata),
    violations: more.violations ?? [],
    retryAfterMs: more.retryAfterMs,
  };
}

export function draining(): Refusal {
  const more = { retryAfterMs: RETRY_MS };
  return ofPlatform(PlatformErrorReason.DRAINING, "the instance is shutting down", {}, more);
}

export function restarting(): Refusal {
  const more = { retryAfterMs: RETRY_MS };
  return ofPlatform(PlatformErrorReason.RESTARTING, "the agent is being built again", {}, more);
}

export function overloaded(callsMax: number): Refusal {
  const message = "the instance has as many calls in progress as it takes on";
  const more = { retryAfterMs: RETRY_MS };
  return ofPlatform(
    PlatformErrorReason.OVERLOADED,
    message,
    { concurrent_calls_max: callsMax },
    more,
  );
}

/** The trailers, with the `google.rpc.Status` that carries the details. */
export function trailers(refusal: Refusal): Metadata {
  const status = create(StatusSchema, {
    code: refusal.code,
    message: refusal.message,
    details: details(refusal),
  });
  const found = new Metadata();
  found.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return found;
}

function details(refusal: Refusal): Any[] {
  const info = create(ErrorInfoSchema, { reason: refusal.reason, domain: refusal.domain });
  let left = METADATA_BYTES_MAX;
  for (const [key, value] of Object.entries(refusal.metadata)) {
    if (left <= 0) break;
    info.metadata[key] = cut(value);
    left -= key.length + Math.min(Buffer.byteLength(value), VALUE_BYTES_MAX);
  }
  const found = [anyPack(ErrorInfoSchema, info)];
  if (refusal.violations.length)
    found.push(anyPack(BadRequestSchema, badRequest(refusal.violations)));
  if (refusal.retryAfterMs !== undefined) {
    const [ms, second] = [refusal.retryAfterMs, 1000];
    const retryDelay = {
      seconds: BigInt(Math.floor(ms / second)),
      nanos: Math.round((ms % second) * 1e6),
    };
    found.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  return found;
}

function badRequest(violations: readonly Violation[]) {
  const bad = create(BadRequestSchema);
  let left = VIOLATIONS_BYTES_MAX;
  for (const one of violations) {
    if (left <= 0) break;
    const [field, description] = [cut(one.field), cut(one.description)];
    bad.fieldViolations.push(create(BadRequest_FieldViolationSchema, { field, description }));
    left -= Buffer.byteLength(field) + Buffer.byteLength(description);
  }
  return bad;
}

/** At most so many bytes, without half a character. */
function cut(text: string): string {
  if (Buffer.byteLength(text) <= VALUE_BYTES_MAX) return text;
  return new TextDecoder()
    .decode(Buffer.from(text).subarray(0, VALUE_BYTES_MAX))
    .replace(/\ufffd+$/, "");
}

function asText(metadata: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)]));
}

/** The canonical code and the bare name of a reason, as the contract gives them. */
function said(reasons: DescEnum, number: number): { code: Code; reason: string; domain: string } {
  const value = reasons.value[number];
  if (value === undefined || !hasOption(value, codeOption)) {
    throw new Error(`${reasons.typeName} has no reason ${number}, or that has no code`);
  }
  const prefix = `${reasons.name.replace(/(?<!^)([A-Z])/g, "_$1").toUpperCase()}_`;
  const reason = value.name.startsWith(prefix) ? value.name.slice(prefix.length) : value.name;
  return { code: Number(getOption(value, codeOption)), reason, domain: reasons.file.proto.package };
}

// The rules on the fields of a contract, run over a request before its agent sees it.
import { fromBinary } from "@bufbuild/protobuf";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";

import { Reason, Refused, ofPlatform } from "./failure.js";
import type { Violation } from "./failure.js";

// One engine for the process: it compiles a message type's rules once, on first use.
const ENGINE = createValidator();

/** A request, or what stands in for bytes that are none. */
export type Parsed = { readonly message: Message } | { readonly message: undefined };

export function parse(kind: DescMessage, wire: Uint8Array): Parsed {
  try {
    return { message: fromBinary(kind, wire) };
  } catch {
    return { message: undefined };
  }
}

/** The message; throws Refused where it breaks its contract. */
export function checked(kind: DescMessage, parsed: Parsed): Message {
  if (parsed.message === undefined)
    throw refused([{ field: "", description: `is no ${kind.typeName}` }]);
  const found = violations(kind, parsed.message);
  if (found.length) throw refused(found);
  return parsed.message;
}

/** Every broken rule, in the order of the fields. */
export function violations(kind: DescMessage, message: Message): Violation[] {
  const result = ENGINE.validate(kind, message);
  if (result.kind === "error") throw result.error;
  if (result.kind === "valid") return [];
  return result.violations.map((one) => ({
    field: pathToString(one.field),
    description: one.message,
  }));
}

function refused(found: readonly Violation[]): Refused {
  const metadata = { violations_total: found.length };
  const message = "the request breaks the contract";
  return new Refused(ofPlatform(Reason.INVALID_REQUEST, message, metadata, { violations: found }));
}

// A contract as the server needs it, read from descriptors and their options.
import { createHash } from "node:crypto";

import { create, getOption, hasOption, toBinary } from "@bufbuild/protobuf";
import type { DescEnum, DescFile, DescMethod, DescService } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

import {
  Priority,
  deadline,
  limits,
  priority,
  public$,
} from "../../gen/tandem/options/v1/options_pb.js";

// What a unary call may take where its contract does not say.
const UNARY_DEADLINE_MS = 30_000;
const NAME = /^tandem\.([a-z][a-z0-9]*)\.v[0-9]+\.([A-Z][A-Za-z0-9]*)Service$/;
const WORD = /[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*|[A-Z]+/g;

/** One RPC and what its options promise. */
export interface Method {
  readonly name: string;
  readonly path: string;
  readonly desc: DescMethod;
  readonly streamsIn: boolean;
  readonly streamsOut: boolean;
  /** Undefined: it lasts as long as its caller wants. */
  readonly deadlineMs: number | undefined;
  /** 0: no limit. */
  readonly callsMax: number;
  readonly isPublic: boolean;
  /** Of a call that does not say its class. */
  readonly priority: Priority;
}

/** `text-summarize` of `tandem.text.v1.SummarizeService`. Throws where that is no name of ours. */
export function shortName(service: string): string {
  const [, family, agent] = NAME.exec(service) ?? [];
  if (!family || !agent)
    throw new Error(`${service} is no name of the form tandem.<family>.v<n>.<Agent>Service`);
  return [family, ...(agent.match(WORD) ?? [])].join("-").toLowerCase();
}

/** One service: its names, its methods, and the family's reasons to fail. */
export class Contract {
  readonly name: string;
  readonly service: string;
  readonly methods: readonly Method[];

  constructor(
    readonly desc: DescService,
    readonly reasons: DescEnum | undefined,
  ) {
    this.service = desc.typeName;
    this.name = shortName(desc.typeName);
    this.methods = desc.methods.map(methodOf);
  }
}

function methodOf(desc: DescMethod): Method {
  const kind = desc.methodKind;
  const own = hasOption(desc, deadline) ? getOption(desc, deadline) : undefined;
  const absent = kind === "unary" ? UNARY_DEADLINE_MS : undefined;
  return {
    name: desc.name,
    path: `/${desc.parent.typeName}/${desc.name}`,
    desc,
    streamsIn: kind === "client_streaming" || kind === "bidi_streaming",
    streamsOut: kind === "server_streaming" || kind === "bidi_streaming",
    deadlineMs: own ? Number(own.seconds) * 1000 + own.nanos / 1e6 : absent,
    callsMax: getOption(desc, limits).concurrentCallsMax,
    isPublic: getOption(desc, public$),
    priority: getOption(desc, priority) || Priority.STANDARD,
  };
}

/** The file and all that it needs, each behind its own imports. */
export function withImports(file: DescFile, seen = new Set<string>()): DescFile[] {
  if (seen.has(file.proto.name)) return [];
  seen.add(file.proto.name);
  return [...file.dependencies.flatMap((one) => withImports(one, seen)), file];
}

/** A contract with all that it imports, as control keeps it under its digest. */
export interface StoredContract {
  readonly digest: string;
  readonly content: Uint8Array;
  readonly schema: string;
}

export function stored(contract: Contract): StoredContract {
  const files = withImports(contract.desc.file).map((one) => one.proto);
  const content = toBinary(
    FileDescriptorSetSchema,
    create(FileDescriptorSetSchema, { file: files }),
  );
  const digest = createHash("sha256").update(content).digest("hex");
  return { digest, content, schema: FileDescriptorSetSchema.typeName };
}

export function fileBytes(file: DescFile): Uint8Array {
  return toBinary(FileDescriptorProtoSchema, file.proto);
}

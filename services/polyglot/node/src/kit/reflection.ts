// Server reflection under both of its names. Ours, because the package for Node tells contracts
// without the options that are not gRPC's own.
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescExtension, DescFile, FileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import { file_grpc_health_v1_health as HEALTH_FILE } from "../../gen/grpc_health/v1/health_pb.js";
import {
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  file_grpc_reflection_v1alpha_reflection as OLD_FILE,
} from "../../gen/grpc_reflection/v1alpha/reflection_pb.js";
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "../../gen/grpc_reflection/v1alpha/reflection_pb.js";
import { fileBytes, withImports } from "./contract.js";
import type { Contract } from "./contract.js";

const [OLD, NEW] = ["grpc.reflection.v1alpha", "grpc.reflection.v1"] as const;
export const SERVICES = [`${NEW}.ServerReflection`, `${OLD}.ServerReflection`] as const;
type Stream = grpc.ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
type Told = Partial<ServerReflectionResponse>["messageResponse"];

export class Reflection {
  private readonly files: FileRegistry;
  private readonly open = new Set<Stream>();

  constructor(
    contracts: readonly Contract[],
    private readonly services: () => readonly string[],
  ) {
    const known = new Map<string, DescFile>();
    for (const root of [...contracts.map((one) => one.desc.file), HEALTH_FILE, OLD_FILE]) {
      for (const file of withImports(root)) known.set(file.proto.name, file);
    }
    const file = [...known.values()].map((one) => one.proto);
    this.files = createFileRegistry(
      create(FileDescriptorSetSchema, { file: [...file, newFile()] }),
    );
  }

  /** Ends every stream: the server drains. */
  drain(): void {
    for (const one of this.open) one.end();
  }

  definition(service: string): grpc.ServiceDefinition {
    return {
      ServerReflectionInfo: {
        path: `/${service}/ServerReflectionInfo`,
        requestStream: true,
        responseStream: true,
        requestSerialize: (message: ServerReflectionRequest) =>
          Buffer.from(toBinary(ServerReflectionRequestSchema, message)),
        requestDeserialize: (wire: Buffer) => fromBinary(ServerReflectionRequestSchema, wire),
        responseSerialize: (message: ServerReflectionResponse) =>
          Buffer.from(toBinary(ServerReflectionResponseSchema, message)),
        responseDeserialize: (wire: Buffer) => fromBinary(ServerReflectionResponseSchema, wire),
      },
    };
  }

  get handlers(): grpc.UntypedServiceImplementation {
    return {
      ServerReflectionInfo: (call: Stream) => {
        this.open.add(call);
        const over = () => this.open.delete(call);
        call.on("data", (request: ServerReflectionRequest) => call.write(this.answer(request)));
        call.on("end", () => call.end());
        call.on("cancelled", over);
        call.on("finish", over);
      },
    };
  }

  private answer(request: ServerReflectionRequest): ServerReflectionResponse {
    const asked = request.messageRequest;
    const said = { validHost: request.host, originalRequest: request };
    const messageResponse = this.told(asked) ?? {
      case: "errorResponse" as const,
      value: {
        errorCode: grpc.status.NOT_FOUND,
        errorMessage: "this server knows nothing of that name",
      },
    };
    return create(ServerReflectionResponseSchema, { ...said, messageResponse } as never);
  }

  private told(asked: ServerReflectionRequest["messageRequest"]): Told {
    switch (asked.case) {
      case "listServices": {
        const names = [...this.services()].sort();
        return {
          case: "listServicesResponse",
          value: { service: names.map((name) => ({ name })) },
        } as Told;
      }
      case "fileByFilename":
        return fileOf(this.files.getFile(asked.value));
      case "fileContainingSymbol":
        return fileOf(this.fileOfSymbol(asked.value));
      case "fileContainingExtension":
        return fileOf(
          this.extensions(asked.value.containingType).find(
            (one) => one.number === asked.value.extensionNumber,
          )?.file,
        );
      case "allExtensionNumbersOfType": {
        const extensionNumber = this.extensions(asked.value).map((one) => one.number);
        if (!this.files.getMessage(asked.value)) return undefined;
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: asked.value, extensionNumber },
        } as Told;
      }
      default:
        return undefined;
    }
  }

  /** Of a method, a field or a value too, which `grpcurl describe` asks for. */
  private fileOfSymbol(symbol: string): DescFile | undefined {
    const found = this.files.get(symbol);
    if (found) return found.file;
    const place = symbol.lastIndexOf(".");
    const around = place > 0 ? this.files.get(symbol.slice(0, place)) : undefined;
    if (around === undefined || around.kind === "extension") return undefined;
    const name = symbol.slice(place + 1);
    const members =
      around.kind === "service"
        ? around.methods
        : around.kind === "message"
          ? around.members
          : around.values;
    return members.some((one) => one.name === name) ? around.file : undefined;
  }

  private extensions(message: string): DescExtension[] {
    return [...this.files].filter(
      (one): one is DescExtension => one.kind === "extension" && one.extendee.typeName === message,
    );
  }
}

function fileOf(file: DescFile | undefined): Told {
  if (file === undefined) return undefined;
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: [fileBytes(file)] },
  } as Told;
}

/** The file of v1, made from v1alpha's by its new name: the messages are the same on the wire. */
function newFile() {
  const file = fromBinary(FileDescriptorProtoSchema, fileBytes(OLD_FILE));
  file.name = "grpc/reflection/v1/reflection.proto";
  file.package = NEW;
  const renamed = (name: string) => name.replace(`.${OLD}.`, `.${NEW}.`);
  for (const field of file.messageType.flatMap((one) => one.field))
    field.typeName = renamed(field.typeName);
  for (const method of file.service.flatMap((one) => one.method)) {
    method.inputType = renamed(method.inputType);
    method.outputType = renamed(method.outputType);
  }
  return file;
}

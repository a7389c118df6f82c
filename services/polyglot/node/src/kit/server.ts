// The gRPC server that the host runs: agents mounted on it, what is no agent beside them, and an
// orderly end.
import { toBinary } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import type { Contract, Method } from "./contract.js";
import { Door, Station } from "./door.js";
import { Code, Reason, ofPlatform, trailers } from "./failure.js";
import type { Refusal } from "./failure.js";
import { Logger } from "./log.js";
import { Report } from "./report.js";
import { Seat } from "./seat.js";
import type { AnyServicer } from "./seat.js";
import type { Token } from "./token.js";
import { HEADER as TOKEN_HEADER } from "./token.js";
import { parse } from "./validation.js";

const LOGGER = new Logger("tandemkit.rpc");
const PATH_LENGTH_MAX = 200;
const KEEPALIVE = { "grpc.max_concurrent_streams": 1000 };

export class Server {
  private readonly server: grpc.Server;
  private readonly stations = new Map<string, Station>();
  private readonly publicPaths = new Set<string>();
  private readonly publicServices = new Set<string>();
  private policy: ReadonlyMap<string, number> = new Map();

  /** Whoever calls has to show `token`, but for what is public; undefined lets everybody in. */
  constructor(
    private readonly report: Report,
    private readonly token: Token | undefined,
  ) {
    this.server = new grpc.Server({ ...KEEPALIVE, interceptors: [this.gate] });
  }

  /** Of agents that have an instance here now. */
  get services(): string[] {
    const stations = [...this.stations].filter(([, station]) => station.seats.size);
    return stations.map(([service]) => service);
  }

  /**
   * A place for one more instance of an agent. One that stands `apart` answers only where a call
   * says its name; of the others the first of a contract answers where it says none.
   */
  mount(contract: Contract, instance: string, apart: boolean): Seat {
    let station = this.stations.get(contract.service);
    if (station === undefined) {
      station = new Station(contract);
      this.stations.set(contract.service, station);
      for (const method of contract.methods) this.register(method, station, this.report);
    }
    const seat = new Seat(contract, instance);
    station.seats.set(instance, seat);
    if (!apart) station.unnamed ??= seat;
    this.limit(this.policy);
    return seat;
  }

  /** Gives the place up for good. */
  unmount(seat: Seat): void {
    this.stations.get(seat.contract.service)?.seats.delete(seat.instance);
  }

  /** Adds a contract of ours that is no agent: it has no health, and its calls are not counted. */
  plumb(contract: Contract, servicer: AnyServicer): Seat {
    const station = new Station(contract);
    const seat = new Seat(contract, contract.name);
    seat.take(servicer);
    station.unnamed = seat;
    for (const method of contract.methods) this.register(method, station, new Report());
    return seat;
  }

  /** Adds a service that is none of our contracts; one that is public asks nobody for the token. */
  also(
    definition: grpc.ServiceDefinition,
    handlers: grpc.UntypedServiceImplementation,
    isPublic: boolean,
  ): void {
    this.server.addService(definition, handlers);
    const [first] = Object.values(definition);
    if (isPublic && first) this.publicServices.add(serviceOf(first.path));
  }

  /**
   * Calls of one method in progress that policy lets in, by service; others have their contract's
   * limits alone.
   */
  limit(callsMax: ReadonlyMap<string, number>): void {
    this.policy = callsMax;
    for (const [service, station] of this.stations) {
      for (const seat of station.seats.values()) {
        for (const room of seat.rooms.values()) room.limit(callsMax.get(service) ?? 0);
      }
    }
  }

  /** Listens, and returns the port, which is the kernel's choice for port 0. */
  async start(address: string, besides: string): Promise<number> {
    grpc.addAdminServicesToServer(this.server);
    const port = await this.bind(address);
    if (besides) await this.bind(`unix:${besides}`);
    return port;
  }

  /** Takes no new calls, lets those in progress finish for `graceMs`, then cancels them. */
  async drain(graceMs: number): Promise<void> {
    for (const station of this.stations.values()) {
      for (const seat of station.seats.values()) {
        for (const room of seat.rooms.values()) room.drain();
      }
    }
    const timer = setTimeout(() => this.server.forceShutdown(), graceMs);
    await new Promise<void>((resolve) => {
      this.server.tryShutdown(() => resolve());
    });
    clearTimeout(timer);
  }

  private async bind(address: string): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
  }

  /** Stands before everything else, so nothing of a refused call is read. */
  private readonly gate: grpc.ServerInterceptor = (method, call) => {
    const responder = new grpc.ResponderBuilder().withStart((next) => {
      const listener = new grpc.ServerListenerBuilder().withOnReceiveMetadata(
        (metadata, proceed) => {
          const refusal = this.refusal(method.path, metadata);
          if (refusal === undefined) proceed(metadata);
          else this.refuse(method.path, call, refusal);
        },
      );
      next(listener.build());
    });
    return new grpc.ServerInterceptingCall(call, responder.build());
  };

  private refusal(path: string, metadata: grpc.Metadata): Refusal | undefined {
    if (this.token === undefined || this.publicPaths.has(path)) return undefined;
    const [shown] = metadata.get(TOKEN_HEADER);
    if (shown !== undefined && this.token.opens(shown.toString())) return undefined;
    if (this.publicServices.has(serviceOf(path))) return undefined;
    return shown === undefined
      ? ofPlatform(
          Reason.TOKEN_MISSING,
          "the call shows no token; send the header `authorization: Bearer TOKEN`, where TOKEN is what the fleet's $TANDEM_HOME/token holds (`./tandem env` names the file)",
        )
      : ofPlatform(
          Reason.TOKEN_WRONG,
          "the call shows another token than this fleet's; read the fleet's $TANDEM_HOME/token again (`./tandem env` names the file)",
        );
  }

  private refuse(path: string, call: grpc.ServerInterceptingCallInterface, refusal: Refusal): void {
    const said = { code: Code[refusal.code], reason: refusal.reason, peer: call.getPeer() };
    LOGGER.info("rpc.refused", { rpc: path.slice(0, PATH_LENGTH_MAX), ...said });
    call.sendStatus({ code: refusal.code, details: refusal.message, metadata: trailers(refusal) });
  }

  private register(method: Method, station: Station, report: Report): void {
    if (method.isPublic) this.publicPaths.add(method.path);
    const door = new Door(method, station, report);
    const serialize = (message: Message) => Buffer.from(toBinary(method.desc.output, message));
    const deserialize = (wire: Buffer) => parse(method.desc.input, wire);
    const definition = {
      path: method.path,
      requestStream: method.streamsIn,
      responseStream: method.streamsOut,
      requestSerialize: unused,
      requestDeserialize: deserialize,
      responseSerialize: serialize,
      responseDeserialize: unused,
    };
    this.server.addService({ [method.name]: definition } as grpc.ServiceDefinition, {
      [method.name]: door.handler,
    });
  }
}

function unused(): never {
  throw new Error("a server neither sends requests nor reads responses");
}

function serviceOf(path: string): string {
  return path.slice(1, path.indexOf("/", 1));
}

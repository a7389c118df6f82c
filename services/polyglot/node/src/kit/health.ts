// grpc.health.v1 per agent, and the statuses behind it. Ours, because a watch here ends when the
// server drains.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
  Health as HealthService,
} from "../../gen/grpc_health/v1/health_pb.js";
import type {
  HealthCheckRequest,
  HealthCheckResponse,
} from "../../gen/grpc_health/v1/health_pb.js";
import { News } from "./signals.js";

export const SERVICE = HealthService.typeName;

/** The whole, whose name is empty, serves when every agent of the plan does. */
export class Health {
  private readonly statuses = new Map<string, boolean>();
  private readonly apart = new Set<string>();
  private readonly news = new News();
  private isDraining = false;

  get draining(): boolean {
    return this.isDraining;
  }

  /** What stands `apart` is no part of the whole. */
  put(key: string, serving: boolean, apart = false): void {
    this.statuses.set(key, serving && !this.isDraining);
    if (apart) this.apart.add(key);
    this.news.tell();
  }

  forget(key: string): void {
    this.statuses.delete(key);
    this.apart.delete(key);
    this.news.tell();
  }

  serving(key: string): boolean {
    return this.status(key) === Status.SERVING;
  }

  /** Turns everything NOT_SERVING for good, and ends every watch after it has said so. */
  drain(): void {
    this.isDraining = true;
    for (const key of this.statuses.keys()) this.statuses.set(key, false);
    this.news.tell();
  }

  get definition(): grpc.ServiceDefinition {
    const way = (name: string, responseStream: boolean) => ({
      path: `/${SERVICE}/${name}`,
      requestStream: false,
      responseStream,
      requestSerialize: (message: HealthCheckRequest) =>
        Buffer.from(toBinary(HealthCheckRequestSchema, message)),
      requestDeserialize: (wire: Buffer) => fromBinary(HealthCheckRequestSchema, wire),
      responseSerialize: (message: HealthCheckResponse) =>
        Buffer.from(toBinary(HealthCheckResponseSchema, message)),
      responseDeserialize: (wire: Buffer) => fromBinary(HealthCheckResponseSchema, wire),
    });
    return { Check: way("Check", false), Watch: way("Watch", true) };
  }

  get handlers(): grpc.UntypedServiceImplementation {
    return {
      Check: (
        call: grpc.ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
        answer: grpc.sendUnaryData<HealthCheckResponse>,
      ) => {
        const status = this.status(call.request.service);
        if (status === Status.SERVICE_UNKNOWN)
          answer({ code: grpc.status.NOT_FOUND, details: "no such service here" });
        else answer(null, create(HealthCheckResponseSchema, { status }));
      },
      Watch: (call: grpc.ServerWritableStream<HealthCheckRequest, HealthCheckResponse>) =>
        this.watch(call),
    };
  }

  private watch(call: grpc.ServerWritableStream<HealthCheckRequest, HealthCheckResponse>): void {
    let last: Status | undefined;
    const say = () => {
      const status = this.status(call.request.service);
      if (status !== last) call.write(create(HealthCheckResponseSchema, { status }));
      last = status;
      if (!this.isDraining) return;
      unhear();
      call.end();
    };
    const unhear = this.news.listen(say);
    call.on("cancelled", unhear);
    say();
  }

  private status(key: string): Status {
    if (key !== "" && !this.statuses.has(key)) return Status.SERVICE_UNKNOWN;
    const asked = key ? [key] : [...this.statuses.keys()].filter((one) => !this.apart.has(one));
    return asked.every((one) => this.statuses.get(one)) ? Status.SERVING : Status.NOT_SERVING;
  }
}

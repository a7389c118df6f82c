// A host's place in the fleet: its lease at a control, and what it says of itself under it. It
// renews on the event loop that serves calls, so a host whose loop is stuck loses its lease, as it
// should.
import { create, equals } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import {
  HoldLeaseRequestSchema,
  PutValueRequestSchema,
  RegistryService,
} from "../../gen/tandem/control/v1/registry_service_pb.js";
import type {
  HoldLeaseRequest,
  HoldLeaseResponseSchema,
} from "../../gen/tandem/control/v1/registry_service_pb.js";
import { HostSchema } from "../../gen/tandem/control/v1/registration_pb.js";
import type { Host } from "../../gen/tandem/control/v1/registration_pb.js";
import type { StoredContract } from "./contract.js";
import { ControlClient, failureFields } from "./control.js";
import type { Exchange } from "./control.js";
import { Logger } from "./log.js";
import { Bell, pauseMs, sleep } from "./signals.js";
import type { News } from "./signals.js";
import type { Token } from "./token.js";
import { HEADER } from "./vouching.js";
import type { Credential } from "./vouching.js";

const [LEAVE_MS_MAX, STORE_MS_MAX] = [1000, 5000];
// How often a host that is announced elsewhere looks whether a nearer control is back.
const RETURN_MS_MAX = 60_000;
const LOGGER = new Logger("tandemkit.hosting");
type Lease = Exchange<typeof HoldLeaseRequestSchema, typeof HoldLeaseResponseSchema>;

/** What is said where: `roster` is the host as it is at the moment that it is asked. */
export interface Announcement {
  readonly controls: readonly string[];
  readonly leaseMs: number;
  readonly roster: () => Host;
  readonly contracts: readonly StoredContract[];
  /** Told whenever the roster may have changed. */
  readonly news: News;
  readonly token: Token | undefined;
  readonly credential: Credential | undefined;
}

export class Announcer {
  private readonly bell = new Bell();
  private readonly left = new Bell();
  private readonly answerMs: number;
  private isLeaving = false;
  private isHolding = false;
  private failures = 0;

  constructor(private readonly said: Announcement) {
    // Where there is another control, none may be silent until the lease has run out.
    this.answerMs = said.controls.length === 1 ? said.leaseMs : said.leaseMs / 3;
    said.news.listen(() => this.bell.ring());
  }

  /** At the first control, whenever one is lost at the next, and at the first again. */
  async hold(): Promise<void> {
    let place = 0;
    while (!this.isLeaving) {
      const control = this.said.controls[place] ?? "";
      const client = new ControlClient(control, this.said.token);
      try {
        await this.holdOnce(place, client);
        place = 0;
      } catch (error) {
        this.failures += 1;
        const level = this.failures === 1 ? "WARNING" : "INFO";
        LOGGER.write(level, "host.unannounced", { control, ...failureFields(error) });
        place = (place + 1) % this.said.controls.length;
        await sleep(pauseMs(this.failures, Math.random()));
      } finally {
        client.close();
      }
    }
  }

  /**
   * Gives the lease up, so that callers stay away before the server does. What control does not
   * hear in time runs out.
   */
  async leave(): Promise<void> {
    this.isLeaving = true;
    this.bell.ring();
    if (this.isHolding) await this.left.heard(LEAVE_MS_MAX);
  }

  /**
   * Until the host leaves, or a control before this `place` answers again: the lease here then runs
   * out behind the one there.
   */
  private async holdOnce(place: number, client: ControlClient): Promise<void> {
    await this.keepContracts(client, STORE_MS_MAX);
    if (this.isLeaving) return;
    let known = this.said.roster();
    const shown = this.said.credential?.(known);
    const lease: Lease = client.exchange(
      RegistryService.method.holdLease,
      new Map(shown ? [[HEADER, shown]] : []),
    );
    // A control that ends says so on the stream: the next renewal would only hear of it late.
    lease.onEnd(() => this.bell.ring());
    this.isHolding = true;
    try {
      const timeToLive = {
        seconds: BigInt(Math.floor(this.said.leaseMs / 1000)),
        nanos: Math.round((this.said.leaseMs % 1000) * 1e6),
      };
      await this.step(lease, { case: "open", value: { host: known, timeToLive } as never });
      LOGGER.info("host.announced", { host: known.name, control: this.said.controls[place] });
      let lookMs = lookAgainMs();
      while (!this.isLeaving) {
        await this.bell.heard(this.said.leaseMs / 3);
        if (!this.isLeaving) known = await this.say(lease, known);
        if (place && performance.now() >= lookMs) {
          if (await this.nearerAnswers(place)) return;
          lookMs = lookAgainMs();
        }
      }
      await this.step(lease, { case: "close", value: {} as never });
    } finally {
      lease.cancel();
      this.isHolding = false;
      this.left.ring();
    }
  }

  /** Renews, with what is new if anything is. */
  private async say(lease: Lease, known: Host): Promise<Host> {
    const now = this.said.roster();
    if (equals(HostSchema, now, known))
      await this.step(lease, { case: "renew", value: {} as never });
    else
      await this.step(lease, {
        case: "change",
        value: { host: now, credential: this.shownAnew(known, now) } as never,
      });
    // Only now: two hosts of one name would else take the lease from each other without a pause.
    this.failures = 0;
    return now;
  }

  /** What the stream began with names what the host served then. */
  private shownAnew(known: Host, now: Host): Uint8Array {
    const before = new Set(known.placements.map((one) => one.service));
    const isNew = now.placements.some((one) => !before.has(one.service));
    return (isNew ? this.said.credential?.(now) : undefined) ?? new Uint8Array();
  }

  private async step(lease: Lease, step: HoldLeaseRequest["step"]): Promise<void> {
    await lease.ask(create(HoldLeaseRequestSchema, { step } as never), this.answerMs);
  }

  /** Stores what is not there yet. A digest names one content, so what is there is right. */
  private async keepContracts(client: ControlClient, withinMs: number): Promise<void> {
    for (const { digest, schema, content } of this.said.contracts) {
      const request = create(PutValueRequestSchema, {
        key: `contracts/${digest}`,
        value: { schema, content },
        expectedVersion: 0n,
      });
      try {
        await client.unary(RegistryService.method.putValue, request, withinMs);
      } catch (error) {
        if ((error as grpc.ServiceError).code !== grpc.status.ABORTED) throw error;
      }
    }
  }

  /** Asked while the lease is held, which is therefore not lost where nobody does. */
  private async nearerAnswers(place: number): Promise<boolean> {
    for (const control of this.said.controls.slice(0, place)) {
      const client = new ControlClient(control, this.said.token);
      try {
        await this.keepContracts(client, this.answerMs / place);
        return true;
      } catch {
        continue; // It is still away.
      } finally {
        client.close();
      }
    }
    return false;
  }
}

function lookAgainMs(): number {
  return performance.now() + RETURN_MS_MAX * (0.5 + Math.random() / 2);
}

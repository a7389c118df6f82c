// The traffic policy at the host: how many calls an agent takes on, where that is less than its
// contract says. Control being away changes nothing: what was told last holds.
import { create, fromBinary } from "@bufbuild/protobuf";

import {
  RegistryService,
  WatchValueRequestSchema,
} from "../../gen/tandem/control/v1/registry_service_pb.js";
import type { WatchValueResponse } from "../../gen/tandem/control/v1/registry_service_pb.js";
import { PolicyRecordSchema } from "../../gen/tandem/control/v1/traffic_policy_pb.js";
import { ControlClient, failureFields } from "./control.js";
import { Logger } from "./log.js";
import type { Server } from "./server.js";
import { TooLate, pauseMs, sleep, within } from "./signals.js";
import type { Token } from "./token.js";

const KEY = "policy/traffic";
// A watch that ends now and then cannot be stuck with a control that is not there any more.
const [WATCH_MS_MAX, ANSWER_MS_MAX] = [60_000, 3000];
const LOGGER = new Logger("tandemkit.hosting");

/**
 * Watches at the first control that answers, and applies what it is told to the server, until
 * `signal`.
 */
export async function heed(
  controls: readonly string[],
  token: Token | undefined,
  server: Server,
  signal: AbortSignal,
): Promise<void> {
  const heard = new Heard(server);
  for (let failures = 0, place = 0; !signal.aborted; place = (place + 1) % controls.length) {
    const control = controls[place] ?? "";
    const client = new ControlClient(control, token);
    try {
      while (!signal.aborted) {
        await heard.watch(client, signal);
        failures = 0;
      }
    } catch (error) {
      failures += 1;
      if (failures === 1 && !signal.aborted)
        LOGGER.warning("host.policy_stale", { control, ...failureFields(error) });
    } finally {
      client.close();
    }
    if (!signal.aborted) await sleep(pauseMs(failures, Math.random()));
  }
}

class Heard {
  private version = 0n;

  constructor(private readonly server: Server) {}

  /** One watch, which ends by itself after a while. */
  async watch(client: ControlClient, signal: AbortSignal): Promise<void> {
    const watch = client.watch(
      RegistryService.method.watchValue,
      create(WatchValueRequestSchema, { key: KEY }),
    );
    const end = () => watch.cancel();
    signal.addEventListener("abort", end);
    try {
      this.take(await within(ANSWER_MS_MAX, watch.next(), "control did not answer in time"));
      const untilMs = performance.now() + WATCH_MS_MAX * (0.5 + Math.random() / 2);
      for (
        let leftMs = untilMs - performance.now();
        leftMs > 0;
        leftMs = untilMs - performance.now()
      ) {
        this.take(await within(leftMs, watch.next(), "the watch is over"));
      }
    } catch (error) {
      if (!(error instanceof TooLate) || error.message !== "the watch is over") throw error;
    } finally {
      signal.removeEventListener("abort", end);
      watch.cancel();
    }
  }

  private take(told: WatchValueResponse): void {
    const value = told.value;
    if (value && value.schema !== PolicyRecordSchema.typeName) {
      LOGGER.error(
        "host.policy_unreadable",
        `the policy is kept as ${value.schema}, which is not known here`,
      );
      return;
    }
    const record = fromBinary(PolicyRecordSchema, value?.content ?? new Uint8Array());
    const version = BigInt(record.change?.version ?? 0);
    if (version === this.version) return;
    this.version = version;
    const services = record.policy?.services ?? [];
    this.server.limit(new Map(services.map((one) => [one.service, one.concurrentCallsMax])));
    LOGGER.info("host.policy_heeded", { version: Number(version) });
  }
}

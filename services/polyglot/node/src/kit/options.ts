// The command line of a host: the same for all runtimes, as the machine's supervisor writes it.
import { hostname } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { collector, home } from "./environment.js";

/** The command line, or something that it names, cannot be used; the message is for a person. */
export class BadOptions extends Error {}

export interface Membership {
  readonly controls: readonly string[];
  readonly machine: string;
  readonly group: string;
  readonly hostName: string;
  readonly versionLabel: string;
  readonly address: string;
  readonly leaseMs: number;
  readonly credential: string;
}

export interface Options {
  readonly plan: string;
  readonly listen: string;
  readonly socket: string;
  readonly http: string;
  readonly pulse: string;
  readonly state: string;
  readonly tokenFile: string;
  readonly open: boolean;
  readonly profile: string;
  readonly graceMs: number;
  readonly traceShare: number;
  /** What holds the process to its limits, in words. */
  readonly limits: readonly string[];
  /** None where no control was named. */
  readonly membership: Membership | undefined;
}

const TEXT = { type: "string" } as const;
const KNOWN = {
  listen: TEXT,
  socket: TEXT,
  http: TEXT,
  pulse: TEXT,
  settings: TEXT,
  state: TEXT,
  "token-file": TEXT,
  open: { type: "boolean" },
  profile: TEXT,
  "state-store": TEXT,
  secrets: TEXT,
  "grace-s": TEXT,
  "trace-share": TEXT,
  control: TEXT,
  machine: TEXT,
  group: TEXT,
  "host-name": TEXT,
  "version-label": TEXT,
  advertise: TEXT,
  credential: TEXT,
  "lease-s": TEXT,
  "memory-mib-max": TEXT,
  "cpus-max": TEXT,
  "cpu-cores": TEXT,
  cgroups: TEXT,
} as const;
const SAMPLED_SHARE = 0.01;

function parsed(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options: KNOWN, allowPositionals: true });
}

type Said = ReturnType<typeof parsed>["values"];

/** Throws BadOptions. */
export function read(argv: readonly string[]): Options {
  let said: ReturnType<typeof parsed>;
  try {
    said = parsed(argv);
  } catch (error) {
    throw new BadOptions((error as Error).message);
  }
  const { values, positionals } = said;
  const [plan, ...more] = positionals;
  if (plan === undefined || more.length) throw new BadOptions("usage: main.js PLAN OPTIONS...");
  const listen = values.listen ?? "127.0.0.1:0";
  return {
    plan,
    listen,
    socket: values.socket ?? "",
    http: values.http ?? "",
    pulse: values.pulse ?? "",
    state: values.state ?? join(home(), "state"),
    tokenFile: values["token-file"] ?? join(home(), "token"),
    open: values.open ?? false,
    profile: values.profile ?? "",
    graceMs: 1000 * number(values, "grace-s", 10, 0, Infinity),
    traceShare: number(values, "trace-share", collector() ? SAMPLED_SHARE : 0, 0, 1),
    limits: limits(values),
    membership: values.control === undefined ? undefined : membership(values, listen),
  };
}

function number(said: Said, name: keyof Said, absent: number, least: number, most: number): number {
  const text = said[name];
  if (text === undefined) return absent;
  const value = Number(text);
  if (text === "" || !(value >= least && value <= most)) {
    throw new BadOptions(`--${name}: ${String(text)} is not from ${least} to ${most}`);
  }
  return value;
}

/** The machine's supervisor looks after memory; Node cannot hold itself to shares of a CPU. */
function limits(said: Said): string[] {
  const memory = number(said, "memory-mib-max", 0, 0, Infinity);
  return memory ? [`memory: ${memory} MiB, by the machine's supervisor`] : [];
}

function membership(said: Said, listen: string): Membership {
  const controls = (said.control ?? "").split(",");
  if (controls.includes("") || new Set(controls).size < controls.length) {
    throw new BadOptions("--control names each control once, separated by commas");
  }
  const machine = said.machine || label(hostname());
  const group = said.group || "polyglot";
  return {
    controls,
    machine,
    group,
    hostName: said["host-name"] || label(`${machine}-${group}`),
    versionLabel: said["version-label"] ?? "",
    address: said.advertise || addressForCallers(listen),
    leaseMs: 1000 * number(said, "lease-s", 3, 1, 60),
    credential: said.credential ?? "",
  };
}

/** A machine's own name may hold dots and capitals. */
export function label(text: string): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return plain.slice(0, 63).replace(/^-+|-+$/g, "");
}

function addressForCallers(listen: string): string {
  const host = listen.slice(0, listen.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  if (listen.startsWith("unix:")) {
    throw new BadOptions("a host on a unix socket cannot be announced; --listen on host:port");
  }
  if (["", "0.0.0.0", "::"].includes(host)) {
    throw new BadOptions(`${listen} is no address for callers; --advertise one`);
  }
  return host;
}

// What this process uses of its machine, under the names that every Prometheus client has.
import { readFileSync, readdirSync } from "node:fs";

import type { Family } from "./exposition.js";

const CLOCK_TICKS = 100; // What Linux tells every program, whatever its own clock.

export interface Usage {
  readonly cpuS: number;
  readonly memoryBytes: number;
}

export function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuS: (user + system) / 1e6, memoryBytes: process.memoryUsage.rss() };
}

export function families(): Family[] {
  const { cpuS, memoryBytes } = usage();
  const figures: Array<[string, Family["kind"], string, number | undefined]> = [
    ["process_cpu_seconds", "counter", "CPU time, user and system.", cpuS],
    ["process_resident_memory_bytes", "gauge", "Memory in use.", memoryBytes],
    ["process_virtual_memory_bytes", "gauge", "Address space.", ofProc(virtualBytes)],
    [
      "process_open_fds",
      "gauge",
      "Open file descriptors.",
      ofProc(() => readdirSync("/proc/self/fd").length - 1),
    ],
    ["process_max_fds", "gauge", "Limit of open file descriptors.", ofProc(fdsMax)],
    ["process_start_time_seconds", "gauge", "Start, since 1970.", ofProc(startedS)],
  ];
  return figures.flatMap(([name, kind, meaning, value]) =>
    value === undefined ? [] : [{ name, kind, meaning, samples: [{ value, labels: {} }] }],
  );
}

/** Undefined on a system without /proc. */
function ofProc(read: () => number): number | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function virtualBytes(): number {
  const found = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(found?.[1] ?? 0) * 1024;
}

function fdsMax(): number {
  return Number(
    /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 0,
  );
}

function startedS(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  // The second field is the program's name, which may hold anything; the start is the 22nd.
  const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  const booted = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
  return booted + ticks / CLOCK_TICKS;
}

// Figures as Prometheus reads them: its text format, or OpenMetrics where that is asked for.
import { BOUNDS } from "./tally.js";
import type { Durations } from "./tally.js";

const PLAIN = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };

export type Labels = Readonly<Record<string, string>>;

/** One line: what stands behind the family's name, and the labels in their order. */
export interface Sample {
  readonly value: number;
  readonly labels: Labels;
  readonly suffix?: string;
}

/** Lines of one name and kind. A counter's name is without `_total`. */
export interface Family {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly meaning: string;
  readonly samples: readonly Sample[];
}

export function buckets(labels: Labels, found: Durations): Sample[] {
  let below = 0;
  const lines = [...BOUNDS, "+Inf"].map((le, place) => {
    below += found.counts[place] ?? 0;
    return { value: below, labels: { ...labels, le }, suffix: "_bucket" };
  });
  return [
    ...lines,
    { value: below, labels, suffix: "_count" },
    { value: found.sumS, labels, suffix: "_sum" },
  ];
}

/** OpenMetrics for who names it. Prometheus does, and prefers it. */
export function mediaType(accept: string): string {
  return accept.includes("application/openmetrics-text") ? OPEN_METRICS : PLAIN;
}

/** The page in one of the two formats. A family without samples is not in it. */
export function textOf(families: readonly Family[], media: string): string {
  const isOpen = media === OPEN_METRICS;
  const lines: string[] = [];
  for (const family of families.filter((one) => one.samples.length)) {
    const isCounter = family.kind === "counter";
    // The older format knows a counter by its whole name.
    const known = isCounter && !isOpen ? `${family.name}_total` : family.name;
    lines.push(`# HELP ${known} ${family.meaning}`, `# TYPE ${known} ${family.kind}`);
    const name = isCounter ? `${family.name}_total` : family.name;
    for (const one of family.samples)
      lines.push(`${name}${one.suffix ?? ""}${written(one.labels)} ${one.value}`);
  }
  if (isOpen) lines.push("# EOF");
  return `${lines.join("\n")}\n`;
}

function written(labels: Labels): string {
  const inner = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\\n"]/g, (c) => ESCAPES[c] ?? c)}"`,
  );
  return inner.length ? `{${inner.join(",")}}` : "";
}

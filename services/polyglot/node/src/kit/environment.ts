// The process's environment: the only file that reads it.
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

const known = process.env;

/** Where a fleet of this user keeps its state and its secrets, where no option says it. */
export function home(): string {
  const own = known["TANDEM_HOME"] ?? "";
  if (isAbsolute(own)) return own;
  const states = known["XDG_STATE_HOME"] ?? "";
  return join(isAbsolute(states) ? states : join(homedir(), ".local", "state"), "tandem");
}

/** Where spans are sent, by OpenTelemetry's own variables; empty for nowhere. */
export function collector(): string {
  if ((known["OTEL_SDK_DISABLED"] ?? "").toLowerCase() === "true") return "";
  const base = (known["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "").replace(/\/+$/, "");
  return known["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] || (base ? `${base}/v1/traces` : "");
}

/** What the environment says of this process to whoever reads its spans. */
export function resourceAttributes(): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of (known["OTEL_RESOURCE_ATTRIBUTES"] ?? "").split(",")) {
    const [name, value] = pair.split("=", 2);
    if (name?.trim() && value !== undefined)
      found.set(name.trim(), decodeURIComponent(value.trim()));
  }
  const service = known["OTEL_SERVICE_NAME"];
  if (service) found.set("service.name", service);
  return found;
}

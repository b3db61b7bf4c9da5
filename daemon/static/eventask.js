// Which events are wanted, as the address says behind its #, and what is asked of the daemon for them.
// `#camera=yard&time=today&event=ID`; an event's id alone is a link to it.

import { midnight } from "./eventwords.js";

const PATIENCE_MS = 20000, HOUR_MS = 3600e3, DAY_MS = 24 * HOUR_MS;
const NARROWING = ["camera", "label", "zone"];
const KEYS = [...NARROWING, "time", "since", "until", "event"];
const ID = /^\d{8}T[\w.-]+$/;

let ahead = 0; // of this computer's clock

// By the daemon's clock, whose times events have.
export function now() {
  return Date.now() + ahead;
}

export function read(hash = location.hash) {
  const text = hash.replace(/^#/, "");
  if (ID.test(text)) return { event: text };
  const found = new URLSearchParams(text);
  return Object.fromEntries(KEYS.filter((key) => found.get(key)).map((key) => [key, found.get(key)]));
}

export function address(wanted) {
  const given = KEYS.filter((key) => wanted[key]).map((key) => [key, wanted[key]]);
  return `#${new URLSearchParams(given)}`;
}

export function isNarrowed(wanted) {
  return KEYS.some((key) => key !== "event" && wanted[key]);
}

// From when to when, in milliseconds; null where it has no end.
export function span(wanted, at = now()) {
  switch (wanted.time) {
    case "hour": return [at - HOUR_MS, null];
    case "day": return [at - DAY_MS, null];
    case "week": return [at - 7 * DAY_MS, null];
    case "today": return [+midnight(at), null];
    case "yesterday": return [+midnight(at, -1), +midnight(at)];
    case "range": return [Date.parse(wanted.since) || null, Date.parse(wanted.until) || null];
    default: return [null, null];
  }
}

export function query(wanted, more = {}) {
  const [since, until] = span(wanted), asked = new URLSearchParams(more);
  for (const key of NARROWING) if (wanted[key]) asked.set(key, wanted[key]);
  if (since && !asked.has("since")) asked.set("since", new Date(since).toISOString());
  if (until && !asked.has("until")) asked.set("until", new Date(until).toISOString());
  return asked;
}

export function isWanted(wanted, event) {
  const [since, until] = span(wanted), at = Date.parse(event.started_at);
  return (!wanted.camera || event.camera === wanted.camera) && (!wanted.label || event.label === wanted.label)
    && (!wanted.zone || event.zones.some((visit) => visit.zone === wanted.zone))
    && (!since || at >= since) && (!until || at < until);
}

export async function ask(path) {
  let answer;
  try {
    answer = await fetch(`api/v1/${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw Object.assign(new Error(`the daemon does not answer (${error.message})`), { status: 0 });
  }
  ahead = (Date.parse(answer.headers.get("date")) || Date.now()) - Date.now();
  if (answer.status === 401) location.assign(`login?to=events${location.hash}`);
  const found = await answer.json();
  if (answer.ok) return found;
  const words = typeof found.detail === "string" ? found.detail : "the daemon does not understand this address";
  throw Object.assign(new Error([words, found.remedy].filter(Boolean).join(": ")), { status: answer.status });
}

export function media(event, what) {
  // The number is for the browser alone: what has changed is asked for anew.
  return `api/v1/events/${encodeURIComponent(event.id)}/${what}?revision=${event.revision}`;
}

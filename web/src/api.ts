import createClient from "openapi-fetch";
import { ask } from "./access";
import type { components, paths } from "./api.gen";

type Schemas = components["schemas"];
export type Hub = Schemas["Hub"];
export type Me = Schemas["Me"];
export type Media = Schemas["Media"];
export type MediaPage = Schemas["MediaPage"];
export type LibraryItem = Schemas["LibraryItem"];
export type Upload = Schemas["Upload"];
export type Integration = Schemas["Integration"];
export type Diagnosis = Schemas["Diagnosis"];
export type TokenRequest = Schemas["TokenRequest"];
export type Mapping = Schemas["Mapping"];
export type MappingRun = Schemas["MappingRun"];
export type MappingRunItem = Schemas["MappingRunItem"];
export type MappingRule = Schemas["MappingRule"];
export type MergePreview = Schemas["MergePreview"];
export type PlatformUser = Schemas["PlatformUser"];
export type AuditRecord = Schemas["AuditRecord"];
export type AuditCheck = Schemas["AuditCheck"];
export type Member = Schemas["Member"];
export type Playback = Schemas["Playback"];
export type MyIntegration = Schemas["MyIntegration"];
export type ConnectionState = Schemas["ConnectionState"];
export type HealthReport = Schemas["HealthReport"];
export type Webhook = Schemas["Webhook"];
export type WebhookDelivery = Schemas["WebhookDelivery"];
export type Job = Schemas["Job"];
export type Visibility = Schemas["Visibility"];
export type HashType = Schemas["HashType"];
export type ConnectionInput = Schemas["ConnectionInput"];
export type ConnectionPatch = Schemas["ConnectionPatch"];
export type Reconciliation = Schemas["Reconciliation"];
export type NotificationHook = Schemas["NotificationHook"];
export type Untagged360 = Schemas["Untagged360"];
export type UntaggedEntry = Schemas["Untagged360Entry"];
export type Transfer = Schemas["Transfer"];
export type TransferPatch = Schemas["TransferPatch"];
export type TransferPolicy = Schemas["TransferPolicy"];
export type TransferAccount = Schemas["TransferAccount"];
export type TransferAccountPatch = Schemas["TransferAccountPatch"];
export type TransferHours = Schemas["TransferHours"];
export type UploadInput = Schemas["UploadInput"];
export type FieldError = Schemas["FieldError"];

/** The REST client; every path and body is checked against openapi.yaml. */
export const api = createClient<paths>({
  baseUrl: location.origin,
  credentials: "same-origin",
  fetch: ask,
  querySerializer: { array: { style: "form", explode: false } },
});

/** What went wrong, in the words of the server (RFC 9457), or of the browser when nobody answered. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly nextStep: string;
  readonly traceId: string;
  readonly retryable: boolean;
  readonly fields: FieldError[];

  constructor(p: Partial<Schemas["Problem"]>) {
    super(p.detail || p.title || "Something went wrong.");
    this.status = p.status ?? 0;
    this.code = p.code ?? "unknown";
    this.nextStep = p.next_step ?? "";
    this.traceId = p.trace_id ?? "";
    this.retryable = p.retryable ?? (this.status === 0 || this.status >= 500);
    this.fields = p.errors ?? [];
  }
}

/** The server did not answer at all. */
export function offlineProblem(): Problem {
  return new Problem({
    status: 0,
    code: "offline",
    detail: "The server cannot be reached.",
    next_step: "Check your connection; we go on as soon as it is back.",
    retryable: true,
  });
}

/** Makes a Problem of anything that was thrown. */
export function asProblem(e: unknown): Problem {
  if (e instanceof Problem) return e;
  if (e instanceof TypeError) return offlineProblem();
  return new Problem({
    code: "internal",
    detail: "Something went wrong on this page.",
    next_step: e instanceof Error ? e.message : "Reload the page.",
    retryable: false,
  });
}

let signedOut: () => void = () => {};
/** Says whom to call when the server no longer knows us. */
export function onSignedOut(f: () => void): void {
  signedOut = f;
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** Waits for a call and gives its body, or throws a Problem. */
export async function call<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw asProblem(e);
  }
  if (answer.response.ok) return answer.data as T;
  if (answer.response.status === 401) signedOut();
  const body = answer.error;
  if (body && typeof body === "object" && "code" in body) throw new Problem(body as Partial<Schemas["Problem"]>);
  throw new Problem({
    status: answer.response.status,
    code: "unexpected",
    detail: `The server answered ${answer.response.status}.`,
    next_step: "Try again in a moment.",
  });
}

/** A fresh key for a POST that creates: repeating the same request makes nothing twice. */
export function idempotencyKey(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
}

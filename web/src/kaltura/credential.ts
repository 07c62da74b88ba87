import type { ConnectionInput, HashType, Visibility } from "../api";

/** What the form holds: text as typed. */
export interface Draft {
  serviceUrl: string;
  partnerId: string;
  tokenId: string;
  token: string;
  hash: HashType;
}

export const emptyDraft: Draft = {
  serviceUrl: "https://www.kaltura.com",
  partnerId: "",
  tokenId: "",
  token: "",
  hash: "SHA256",
};
export const hashes: HashType[] = ["SHA256", "SHA512", "SHA1", "MD5"];

export type DraftProblems = Partial<Record<keyof Draft, string>>;

/** What is wrong with what was typed. With `keepToken` an empty token means "the saved one". */
export function checkDraft(d: Draft, keepToken = false): DraftProblems {
  const p: DraftProblems = {};
  let url: URL | undefined;
  try {
    url = new URL(d.serviceUrl.trim());
  } catch {
    p.serviceUrl = "Write the whole address, for example https://www.kaltura.com";
  }
  // The server decides about http: it allows that for the built-in platform only.
  if (url && url.protocol !== "https:" && url.protocol !== "http:") p.serviceUrl = "The address begins with https://";
  if (url && (url.search || url.username)) p.serviceUrl = "Only the address itself, without user or question mark.";
  if (!/^[1-9]\d{0,17}$/.test(d.partnerId.trim()))
    p.partnerId = "A number, shown in Kaltura under Settings → Integration.";
  if (!d.tokenId.trim()) p.tokenId = "The id that appToken.add answered, like 0_ab12cd34.";
  if (!d.token.trim() && !keepToken) p.token = "The token that appToken.add answered.";
  else if (/\s/.test(d.token.trim())) p.token = "A token has no spaces: copy it again.";
  else if (d.token.trim() && d.token.trim() === d.tokenId.trim())
    p.token = "This is the id again; the token is the longer text.";
  return p;
}

/** The body for the server. */
export function connection(d: Draft, visibility: Visibility, matchBy?: ConnectionInput["match_by"]): ConnectionInput {
  return {
    service_url: d.serviceUrl.trim().replace(/\/+$/, ""),
    partner_id: Number(d.partnerId.trim()),
    app_token_id: d.tokenId.trim(),
    app_token: d.token.trim(),
    hash_type: d.hash,
    visibility,
    match_by: matchBy,
  };
}

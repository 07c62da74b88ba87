import type { ConnectionPatch, HashType, Integration, Problem } from "../api";

/** The settings that few hubs need, as typed. */
export interface OptionsDraft {
  category: string;
  entitlement: Integration["entitlement"];
  context: string;
  profile: string;
  player: boolean;
  playerId: string;
  playerToken: string;
  playerHash: HashType;
}

export type OptionsProblems = Partial<Record<keyof OptionsDraft, string>>;

export function optionsOf(i?: Integration): OptionsDraft {
  return {
    category: i?.category_id ? String(i.category_id) : "",
    entitlement: i?.entitlement ?? "",
    context: i?.privacy_context ?? "",
    profile: i?.conversion_profile_id ? String(i.conversion_profile_id) : "",
    player: !!i?.player_token_id,
    playerId: i?.player_token_id ?? "",
    playerToken: "",
    playerHash: i?.player_hash_type ?? "SHA256",
  };
}

/** Whether anything but the usual is chosen. */
export const unusual = (o: OptionsDraft) => !!(o.category || o.entitlement || o.profile || o.player);

/** What is wrong with what was typed. `savedPlayer` is the id of the token whose value we have. */
export function checkOptions(o: OptionsDraft, savedPlayer = ""): OptionsProblems {
  const p: OptionsProblems = {};
  const number = /^[1-9]\d{0,9}$/;
  if (o.category.trim() && !number.test(o.category.trim()))
    p.category = "A number, shown in Kaltura under Content → Categories.";
  if (o.profile.trim() && !number.test(o.profile.trim())) p.profile = "A number, or empty for the account's default.";
  if (o.entitlement === "enforce" && !/^[A-Za-z0-9_-]{1,64}$/.test(o.context.trim()))
    p.context = "Up to 64 letters, digits, - and _, as in the category's entitlement settings.";
  if (!o.player) return p;
  if (!o.playerId.trim()) p.playerId = "The id that appToken.add answered, like 0_ab12cd34.";
  if (!o.playerToken.trim() && (!savedPlayer || o.playerId.trim() !== savedPlayer))
    p.playerToken = "The token that appToken.add answered.";
  return p;
}

/** The body for the server. */
export function optionsBody(o: OptionsDraft): ConnectionPatch {
  return {
    category_id: Number(o.category.trim() || 0),
    entitlement: o.entitlement,
    privacy_context: o.entitlement === "enforce" ? o.context.trim() : "",
    conversion_profile_id: Number(o.profile.trim() || 0),
    player_token_id: o.player ? o.playerId.trim() : "",
    ...(o.player && o.playerToken.trim() && { player_token: o.playerToken.trim() }),
    ...(o.player && { player_hash_type: o.playerHash }),
  };
}

const pointers: Record<string, keyof OptionsDraft> = {
  "/category_id": "category",
  "/entitlement": "entitlement",
  "/privacy_context": "context",
  "/conversion_profile_id": "profile",
  "/player_token_id": "playerId",
  "/player_token": "playerToken",
  "/player_hash_type": "playerHash",
};

/** The server's answer at the field that it is about. */
export function optionsProblems(p: Problem): OptionsProblems {
  const out: OptionsProblems = {};
  for (const f of p.fields) {
    const key = pointers[f.pointer];
    if (key) out[key] = f.detail;
  }
  return out;
}

import { api, call } from "../api";
import type { components } from "../api.gen";

type Schemas = components["schemas"];
export type Provider = Schemas["IdentityProvider"];
export type ProviderList = Schemas["IdentityProviders"];
export type ProviderInput = Schemas["IdentityProviderInput"];
export type ProviderPatch = Schemas["IdentityProviderPatch"];
export type ProviderCheck = Schemas["IdentityProviderDiagnosis"];
export type ClaimMapping = Schemas["ClaimMapping"];
export type ClaimsResult = Schemas["ClaimsResult"];
export type WebhookSecret = Schemas["IdentityWebhookSecret"];

const at = (p: Provider) => ({ path: { id: p.id } });

export const providers = {
  list: () => call(api.GET("/v1/operator/identity-providers")),
  get: (p: Provider) => call(api.GET("/v1/operator/identity-providers/{id}", { params: at(p) })),
  create: (body: ProviderInput) => call(api.POST("/v1/operator/identity-providers", { body })),
  update: (p: Provider, body: ProviderPatch) =>
    call(
      api.PATCH("/v1/operator/identity-providers/{id}", {
        params: { ...at(p), header: { "If-Match": p.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body,
      }),
    ),
  remove: (p: Provider) => call(api.DELETE("/v1/operator/identity-providers/{id}", { params: at(p) })),
  verify: (p: Provider) => call(api.POST("/v1/operator/identity-providers/{id}/verify", { params: at(p) })),
  tryClaims: (p: Provider, claims: Record<string, unknown>, mapping: ClaimMapping) =>
    call(api.POST("/v1/operator/identity-providers/{id}/try-claims", { params: at(p), body: { claims, mapping } })),
  webhookSecret: (p: Provider) =>
    call(api.POST("/v1/operator/identity-providers/{id}/webhook-secret", { params: at(p) })),
};

import { api, call } from "../api";
import type { components } from "../api.gen";

type Schemas = components["schemas"];
export type App = Schemas["OAuthClient"];
export type AppType = Schemas["OAuthClientType"];
export type AppInput = Schemas["OAuthClientInput"];
export type AppPatch = Schemas["OAuthClientPatch"];
export type AppSecret = Schemas["OAuthClientSecret"];
export type AppPage = Schemas["OAuthClientPage"];

/** Where apps are registered: in a hub, or by an operator for all. */
export interface Registry {
  list(cursor?: string): Promise<AppPage>;
  create(body: AppInput, hub?: string): Promise<AppSecret>;
  update(app: App, body: AppPatch): Promise<App>;
  rotate(app: App, seconds: number): Promise<AppSecret>;
  remove(app: App): Promise<unknown>;
}

const merge = { "Content-Type": "application/merge-patch+json" };

/** The apps of one hub, for its admins. */
export function hubRegistry(hub: string): Registry {
  const at = (app: App) => ({ hub, id: app.id });
  return {
    list: (cursor) => call(api.GET("/v1/hubs/{hub}/clients", { params: { path: { hub }, query: { cursor } } })),
    create: (body) => call(api.POST("/v1/hubs/{hub}/clients", { params: { path: { hub } }, body })),
    update: (app, body) =>
      call(
        api.PATCH("/v1/hubs/{hub}/clients/{id}", {
          params: { path: at(app), header: { "If-Match": app.etag } },
          headers: merge,
          body,
        }),
      ),
    rotate: (app, overlap_seconds) =>
      call(api.POST("/v1/hubs/{hub}/clients/{id}/secret", { params: { path: at(app) }, body: { overlap_seconds } })),
    remove: (app) => call(api.DELETE("/v1/hubs/{hub}/clients/{id}", { params: { path: at(app) } })),
  };
}

/** The apps of the whole installation, for operators. */
export const operatorRegistry: Registry = {
  list: (cursor) => call(api.GET("/v1/operator/clients", { params: { query: { cursor } } })),
  create: (body, hub) => call(api.POST("/v1/operator/clients", { body: { ...body, hub } })),
  update: (app, body) =>
    call(
      api.PATCH("/v1/operator/clients/{id}", {
        params: { path: { id: app.id }, header: { "If-Match": app.etag } },
        headers: merge,
        body,
      }),
    ),
  rotate: (app, overlap_seconds) =>
    call(api.POST("/v1/operator/clients/{id}/secret", { params: { path: { id: app.id } }, body: { overlap_seconds } })),
  remove: (app) => call(api.DELETE("/v1/operator/clients/{id}", { params: { path: { id: app.id } } })),
};

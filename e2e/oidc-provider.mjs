// The certified provider (npm oidc-provider) as a process: node oidc-provider.mjs '{"port":0,"keys":[…],"callback":"…"}'.
// Lines of JSON on its standard input replace the accounts; it prints its issuer once it listens.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const { port, keys, callback, logout, audience } = JSON.parse(process.argv[2]);
const app = "/app/callback"; // the platform's own app, which stands in for nothing but its address
let accounts = {};

const server = createServer((req, res) => (req.url.startsWith(app) ? res.end("arrived") : handle(req, res)));
let handle = (_req, res) => res.end();
server.listen(port, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: "isthmus",
        client_secret: "secret-of-isthmus-at-the-provider",
        redirect_uris: [callback],
        backchannel_logout_uri: logout,
        backchannel_logout_session_required: true,
      },
      { client_id: "platform-app", client_secret: "secret-of-the-platforms-own-app", redirect_uris: [issuer + app] },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "spaces"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["a key of the tests"] },
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: "spaces", audience, accessTokenFormat: "jwt", accessTokenTTL: 600 }),
      },
    },
    extraTokenClaims: (_ctx, token) => (token.accountId ? { ...accounts[token.accountId], sub: undefined } : undefined),
    findAccount: (_ctx, id) => (accounts[id] ? { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) } : undefined),
    // Log-outs are sent to this machine, which the provider would not do by itself.
    fetch: (url, options) => {
      const { dispatcher: _, ...rest } = options ?? {};
      return globalThis.fetch(url, rest);
    },
  });
  provider.on("server_error", (_ctx, err) => console.error(err));
  handle = provider.callback();
  console.log(JSON.stringify({ issuer }));
});

createInterface({ input: process.stdin }).on("line", (line) => {
  accounts = JSON.parse(line);
  console.log(JSON.stringify({ accounts: Object.keys(accounts).length }));
});
process.stdin.on("end", () => process.exit(0));

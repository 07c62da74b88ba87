// The server behind host.html, in Node without dependencies: it serves the page and gets the tokens.
//   ISTHMUS_URL=https://isthmus.example.org CLIENT_ID=cli_… CLIENT_SECRET=… node server.mjs
// Register its origin (http://localhost:3000) with the client first.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { ISTHMUS_URL, CLIENT_ID, CLIENT_SECRET, PORT = "3000" } = process.env;

/** The ID token that your identity provider gave the person who is signed in on your site. */
const idTokenOf = async (_request) => process.env.ID_TOKEN;

async function isthmusToken(request) {
  const answer = await fetch(`${ISTHMUS_URL}/oauth2/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${btoa(`${CLIENT_ID}:${CLIENT_SECRET}`)}` },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: await idTokenOf(request),
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      scope: "media:read library:read",
    }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).access_token;
}

createServer(async (request, response) => {
  try {
    // A token is given to our own page only, never to another site that asks in the person's name.
    if (request.method === "POST" && request.url === "/isthmus-token" && request.headers["sec-fetch-site"] === "same-origin") {
      response.setHeader("Cache-Control", "no-store");
      response.end(await isthmusToken(request));
    } else if (request.method === "GET" && request.url === "/") {
      const page = await readFile(new URL("host.html", import.meta.url), "utf8");
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(page.replaceAll("https://isthmus.example.org", ISTHMUS_URL));
    } else {
      response.writeHead(404).end();
    }
  } catch (e) {
    console.error(e.message);
    response.writeHead(502).end();
  }
}).listen(Number(PORT), "localhost");

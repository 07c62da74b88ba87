import { useEffect, useState } from "preact/hooks";
import { api, call } from "../api";
import { me } from "../session";
import { EraseDialog } from "../ui/erase";

export default function MyData() {
  const [erasing, setErasing] = useState(false);
  useEffect(() => {
    document.title = "Your data · Account · Isthmus";
  }, []);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>
            <a href="/account/integrations">Account</a>
          </li>
          <li>Your data</li>
        </ol>
      </nav>
      <h1>Your data</h1>
      <p class="muted">
        Signed in as <bdi>{me.value?.name}</bdi> (<span class="wrap">{me.value?.email}</span>).
      </p>
      <section class="card stack" aria-labelledby="export">
        <h2 id="export">Download</h2>
        <p>All that is kept about you here, in all your hubs, as one JSON file.</p>
        <div class="row">
          <a class="btn" href="/v1/me/export" download="isthmus-my-data.json">
            Download my data
          </a>
        </div>
      </section>
      <section class="card stack" aria-labelledby="erase">
        <h2 id="erase">Erase</h2>
        <p>
          Forgets you here, in all your hubs, and signs you out. Media in Kaltura stay: they belong to your hubs'
          Kaltura accounts.
        </p>
        <div class="row">
          <button type="button" class="btn danger" onClick={() => setErasing(true)}>
            Erase my data…
          </button>
        </div>
      </section>
      {erasing && (
        <EraseDialog
          title="Erase my data"
          preview={() => call(api.GET("/v1/me/erasure"))}
          erase={(confirm) => call(api.POST("/v1/me/erasure", { body: { confirm } }))}
          done={() => location.assign("/sign-in?erased=1")}
          close={() => setErasing(false)}
        />
      )}
    </div>
  );
}

import { useState } from "preact/hooks";
import { say } from "../announce";
import { OperatorPage } from "../operator/head";
import { ProviderCard } from "../operator/provider-card";
import { ProviderForm } from "../operator/provider-form";
import { type ProviderList, providers } from "../operator/providers";
import { CopyButton, Loading, ProblemBanner, useLoad } from "../ui/parts";

/** Operator → Identity providers: where people sign in, and which hubs and roles that gives them. */
export default function OperatorProviders() {
  return (
    <OperatorPage title="Identity providers">
      <List />
    </OperatorPage>
  );
}

function List() {
  const load = useLoad(providers.list, []);
  const [adding, setAdding] = useState(false);
  const [fresh, setFresh] = useState("");
  const { data } = load;
  const put = (items: ProviderList["items"]) => data && load.set({ ...data, items });
  return (
    <div class="stack">
      <p class="muted">
        Where people sign in: spaces platforms and what they use, by OpenID Connect. The provider says which hubs
        somebody is in, with which role, and on which plan each hub is.
      </p>
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!data && !load.problem && <Loading />}
      {data && (
        <>
          <Addresses list={data} />
          {adding ? (
            <section class="card stack" aria-labelledby="add-provider">
              <h2 id="add-provider">Add an identity provider</h2>
              <ProviderForm
                cancel={() => setAdding(false)}
                save={async (body) => {
                  const made = await providers.create(body);
                  setFresh(made.id);
                  setAdding(false);
                  put([...data.items, made]);
                  say(`${made.name} was added. It is being checked.`);
                }}
              />
            </section>
          ) : (
            <div class="row">
              <button type="button" class="btn primary" onClick={() => setAdding(true)}>
                Add an identity provider
              </button>
            </div>
          )}
          {data.items.length === 0 && !adding && (
            <div class="card stack-s">
              <h2>Nobody can sign in yet</h2>
              <p class="muted">
                Register Isthmus at your identity provider with the redirect address above, then add the provider here
                by its issuer.
              </p>
            </div>
          )}
          <ul class="stack" aria-label="Identity providers">
            {data.items.map((one) => (
              <ProviderCard
                key={one.id}
                provider={one}
                fresh={one.id === fresh}
                changed={(now) => put(data.items.map((x) => (x.id === now.id ? now : x)))}
                gone={() => put(data.items.filter((x) => x.id !== one.id))}
              />
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

/** What the provider has to know of us. */
function Addresses({ list }: { list: ProviderList }) {
  const one = (label: string, text: string) => (
    <>
      <dt>{label}</dt>
      <dd class="row">
        <code class="wrap">{text}</code>
        <CopyButton text={text} />
      </dd>
    </>
  );
  return (
    <section class="card stack-s" aria-labelledby="our-addresses">
      <h2 id="our-addresses">Register these at each provider</h2>
      <dl class="facts">
        {one("Redirect address", list.redirect_uri)}
        {one("Back-channel log-out", list.backchannel_logout_uri)}
      </dl>
    </section>
  );
}

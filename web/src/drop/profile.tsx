import { useId } from "preact/hooks";
import { api, call } from "../api";
import { Field, useLoad } from "../ui/parts";

/** Chooses a conversion profile: by name where they may be listed, else by number. */
export function ProfileField(p: {
  hub: string;
  value: string;
  set: (v: string) => void;
  problem?: string;
  usual?: string;
}) {
  const id = useId();
  const usual = p.usual ?? "The account's default";
  const list = useLoad(
    () =>
      call(api.GET("/v1/hubs/{hub}/integrations/kaltura/conversion-profiles", { params: { path: { hub: p.hub } } })),
    [p.hub],
  );
  if (!list.data) {
    return (
      <Field
        label="Conversion profile"
        value={p.value}
        set={p.set}
        problem={p.problem}
        inputMode="numeric"
        maxLength={10}
        hint={`Its number in Kaltura. Empty: ${usual[0]!.toLowerCase()}${usual.slice(1)}.`}
      />
    );
  }
  const known = !p.value || list.data.some((x) => String(x.id) === p.value);
  return (
    <div class="field">
      <label for={id}>Conversion profile</label>
      <select
        id={id}
        value={p.value}
        aria-invalid={p.problem ? "true" : undefined}
        aria-describedby={p.problem ? `${id}-p` : undefined}
        onChange={(e) => p.set(e.currentTarget.value)}
      >
        <option value="">{usual}</option>
        {!known && <option value={p.value}>Number {p.value}</option>}
        {list.data.map((x) => (
          <option key={x.id} value={String(x.id)}>
            {x.name}
            {x.default ? " (default)" : ""}
          </option>
        ))}
      </select>
      {p.problem && (
        <span class="problem" id={`${id}-p`}>
          {p.problem}
        </span>
      )}
    </div>
  );
}

/** A checkbox with its words. */
export function Tick(p: { label: string; on: boolean; set: (on: boolean) => void }) {
  return (
    <label class="tick">
      <input type="checkbox" checked={p.on} onChange={(e) => p.set(e.currentTarget.checked)} />
      <span>{p.label}</span>
    </label>
  );
}

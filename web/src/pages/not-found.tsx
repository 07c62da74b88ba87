import { useEffect } from "preact/hooks";

export default function NotFound() {
  useEffect(() => {
    document.title = "Not found · Isthmus";
  }, []);
  return (
    <div class="hero">
      <h1>There is nothing here</h1>
      <p class="muted">The address may be mistyped, or it belongs to a hub that you are not in.</p>
      <a class="btn primary" href="/">
        Go to the media library
      </a>
    </div>
  );
}

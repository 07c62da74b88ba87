import { bytes, clockTime, count, percent } from "../format";
import { Icon } from "../ui/icons";
import { Act } from "../ui/parts";
import { Codes, WorkRow } from "../ui/row";
import type { Agent, AgentJob } from "./agent";
import { pathNames, runWords } from "./words";

/** The state of a job in words. */
export function jobWords(j: AgentJob): string {
  const far = `${percent(j.size > 0 ? j.sent / j.size : 0)} of ${bytes(j.size)}`;
  switch (j.state) {
    case "queued":
      return `Waiting for its turn, ${far}`;
    case "sending":
      return [far, ...(j.live ? runWords(j.live, j.size - j.sent) : [])].join(" · ");
    case "waiting":
      return `${j.error?.message ?? "The connection was lost."} Tries again${j.retry_at ? ` at ${clockTime(j.retry_at)}` : " by itself"}; ${far} are there.`;
    case "paused":
      return `Paused at ${far}. It keeps its place.`;
    case "done":
      return `Done, ${bytes(j.size)}`;
    case "failed":
      return [j.error?.message, j.error?.next_step].filter(Boolean).join(" ") || "Failed.";
    case "cancelled":
      return "Cancelled";
    default:
      return far;
  }
}

/** The queue of the agent, in its order. */
export function AgentJobs({ agent, jobs }: { agent: Agent; jobs: AgentJob[] }) {
  if (jobs.length === 0) return <p class="muted small">Its queue is empty.</p>;
  return (
    <ul class="jobs" aria-label="Queue of the agent">
      {jobs.map((j) => (
        <Job key={j.id} agent={agent} j={j} />
      ))}
    </ul>
  );
}

function Job({ agent, j }: { agent: Agent; j: AgentJob }) {
  const label = (verb: string) => `${verb} ${j.name}`;
  const over = ["done", "failed", "cancelled"].includes(j.state);
  const path = j.live ? pathNames[j.live.path] : "";
  return (
    <WorkRow
      data={{ "data-job": j.id, "data-state": j.state }}
      name={j.name}
      badges={
        <>
          {j.files > 1 && <span class="muted small">{count(j.files, "file")}</span>}
          {j.state === "sending" && path && <span class="badge">{path}</span>}
          {j.first && !over && <span class="badge accent">First</span>}
        </>
      }
      state={jobWords(j)}
      bad={j.state === "failed"}
      more={
        <>
          {j.state === "sending" && j.live?.fallback && <p class="state">By HTTPS: {j.live.fallback}</p>}
          {j.state === "failed" && j.error && <Codes code={j.error.code} />}
        </>
      }
      far={over ? undefined : j.size > 0 ? j.sent / j.size : 0}
      farLabel={label("Progress of")}
      acts={
        <>
          {!over && !j.first && (
            <Act small aria-label={label("Send first:")} do={() => agent.first(j.id)}>
              <Icon name="first" size={16} /> Send first
            </Act>
          )}
          {["queued", "sending", "waiting"].includes(j.state) && (
            <Act small icon="pause" aria-label={label("Pause")} do={() => agent.pause(j.id)}>
              Pause
            </Act>
          )}
          {(j.state === "paused" || j.state === "failed" || j.state === "waiting") && (
            <Act
              small
              icon={j.state === "paused" ? "play" : "retry"}
              aria-label={label(j.state === "paused" ? "Resume" : "Retry")}
              do={() => agent.resume(j.id)}
            >
              {j.state === "paused" ? "Resume" : "Retry"}
            </Act>
          )}
          {over ? (
            <Act small aria-label={label("Remove")} do={() => agent.remove(j.id)}>
              Remove
            </Act>
          ) : (
            <Act small kind="danger" aria-label={label("Cancel")} do={() => agent.cancel(j.id)}>
              Cancel
            </Act>
          )}
        </>
      }
    />
  );
}

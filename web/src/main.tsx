import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./router";
import { loadMe } from "./session";

startRouter();
void loadMe();
render(<App />, document.getElementById("app")!);

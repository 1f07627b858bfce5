/** Starts the page: theme, address, clock, session; then draws the shell. */
import { render } from 'preact';
import './styles/tokens.css';
import './styles/base.css';
import './styles/ui.css';
import './styles/shell.css';
import './styles/chart.css';
import { whenSignedOut } from './api';
import { App } from './app';
import { startClock } from './state/clock';
import { loseSession, readSession } from './state/session';
import { followTheme } from './state/theme';
import { followAddress } from './state/url';

followTheme();
followAddress();
startClock();
whenSignedOut(() => void loseSession());
void readSession();

const root = document.getElementById('app');
if (root) render(<App />, root);

/** To come in this change. */
export default function Page() { return null; }

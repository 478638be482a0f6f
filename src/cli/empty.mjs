// Stands in for react-devtools-core, which Ink imports only while debugging.
export default {};

"""The public suite jupyter_kernel_test for guplab's kernel."""
import unittest

import jupyter_kernel_test


class GuplabKernelTests(jupyter_kernel_test.KernelTests):
    kernel_name = "guplab"
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = 'console.log("hello, world")'
    code_stderr = 'console.error("test")'
    completion_samples = [{"text": "lab.explo", "matches": {"explore"}}]
    complete_code_samples = ["1", 'console.log("hello, world")', "const f = (x: number) => x * 2;"]
    incomplete_code_samples = ["function f() {", "const s = `two", "lab.run("]
    invalid_code_samples = ["const = 3", "}"]
    code_generate_error = 'throw new Error("no buffers")'
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[1, 2].map((n) => n * n)", "result": "[ 1, 4 ]"},
    ]
    code_display_data = [
        {"code": "display(1)", "mime": "text/plain"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "explore"
    code_clear_output = "clearOutput()"


if __name__ == "__main__":
    unittest.main(verbosity=2)

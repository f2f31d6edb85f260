"""Code with which a Python process ends by printing how many bytes of memory it took at its most.

On Linux `ru_maxrss` does not say so: a child is told what the process had taken that started it, if that is more.
"""

TELL_PEAK = """
import pathlib, resource, sys
if sys.platform == "darwin":
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
else:
    print(int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) << 10)
"""

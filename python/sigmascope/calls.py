"""All arguments of a module's calls, those given by name too, which hooks of PyTorch 1 do not show."""
import weakref

from . import hooks

_seen = weakref.WeakKeyDictionary()  # module: what is told


def see_calls(module, function):
    """Calls function(args, kwargs) before each call of a module; a handle, as of a hook."""
    if hooks._KWARGS:
        return hooks.before(module, lambda _, args, kwargs: function(args, kwargs))
    return _Call(module, function)


class _Call:
    """By __call__ of the module's class, which other modules of the class do not notice; copies of it neither."""

    def __init__(self, module, function):
        self.module, self.kind = weakref.ref(module), type(module)
        _seen[module] = function
        if "__call__" not in self.kind.__dict__:
            inner = self.kind.__call__

            def call(module, *args, **kwargs):
                told = _seen.get(module)
                if told:
                    told(args, kwargs)
                return inner(module, *args, **kwargs)
            call.is_ours = True
            self.kind.__call__ = call

    def remove(self):
        module = self.module()
        if module is not None:
            _seen.pop(module, None)
        if not any(type(m) is self.kind for m in _seen) and \
                getattr(self.kind.__dict__.get("__call__"), "is_ours", False):
            del self.kind.__call__

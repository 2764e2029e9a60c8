"""The autoencoder: parameters, docstring, and what its scores and samples are."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skae._sklearn import StrOptions
from skae.densities.codes import CodeMixture, fit_code_mixture
from skae.densities.limits import MAX_CODES, representatives
from skae.device import generator_from
from skae.fitting.calibration import calibrate
from skae.models.refinement import MOST_REFINEMENTS
from skae.rows import as_array, weighted_moments

from .checking import check_has_variance
from .inference import map_blocks, rows_at_once
from .parameters import Count
from .streams import StreamedAutoencoder

__all__ = ["AutoencoderTransformer"]


class AutoencoderTransformer(StreamedAutoencoder):
    """Autoencoder that starts as PCA and can only get better.

    Finds an encoder e and a decoder d that minimise the squared error::

        sum_i w_i |x_i - d(e(x_i))|^2

    (or another likelihood's deviance). Each is PCA's linear map plus a network f, g
    that starts at zero::

        e(x) = V (x - mu) + S f((x - mu) / s)          V: PCA's components_
        d(z) = mu + V' z + r g(S^-1 z)                 S: the codes' deviations

    where s is the root mean square of all columns' deviations (another likelihood takes
    each column's own), and r the deviation of what PCA leaves in each column, at least
    a tenth of the root mean square of these.

    What :meth:`transform` gives is e(x), moved by some steps to where d rebuilds the
    row better (``n_refinements``).

    With ``max_iter=0`` this is :class:`~sklearn.decomposition.PCA`. Training is kept
    only as far as it improves on PCA on rows that it did not see.

    With the Gaussian likelihood and fewer rows than columns, the networks are trained
    on coordinates of the space that the rows span, in which distances are the same;
    where ``"auto"`` counts columns (but for ``n_refinements``) it then counts rows in
    their place. With ``warm_start``, ``partial_fit``, ``init="random"`` or parts of
    one's own they are trained on the columns.

    Parameters
    ----------
    n_components : int, float or "auto", default=2
        Size of the code. A float between 0 and 1 takes as many components as PCA needs
        to explain that share of the variance of rows as the likelihood sees them:
        standardised by ``"gaussian_diag"``, ``"student_t"`` and a list, counts as
        logarithms. With more than 8000 rows and columns they are at most 512.
        ``"auto"`` trains for a moment at 1, 2, 3, 4, 6, 8, .. 64 components and takes
        the fewest beyond which rows held out gain no more than noise; ``partial_fit``
        needs a number. With ``init="pca"`` at most ``min(n_samples, n_features)``.

    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Widths of the encoder's hidden layers, mirrored by the decoder. ``"auto"`` is
        (512, 256) from 10,000 rows, or from ``n_samples * n_features`` of 5 million
        on, else (256, 128). ``()`` is the linear path alone: with the Gaussian
        likelihood it is PCA, and nothing is trained.

    activation : {"silu", "relu", "leaky_relu", "elu", "gelu", "tanh", "logistic", \
            "identity"}, default="silu"
        Activation of the hidden layers.

    encoder, decoder : network spec or callable, default=None
        In place of the perceptron that ``hidden_layer_sizes`` and ``activation``
        describe: a spec such as :class:`skae.networks.MLP` or
        :class:`skae.networks.Conv`, which the decoder mirrors, or a factory, called as
        ``factory(n_inputs, n_outputs)``, that returns a new ``nn.Module``. Its encoder
        sees ``(x - mu) / s``; what its decoder gives is added to the start's predictor
        (a mean, in units of what is left, or a logit or logarithm), with
        ``init="random"`` to that of the columns' means. So a decoder ends in a linear
        layer, not in a sigmoid, whatever the rows.

    init : {"pca", "random"}, default="pca"
        ``"pca"`` starts at PCA; ``"random"`` is an ordinary network at
        random weights, without a linear path, and ``fit`` warns where it ends worse
        than PCA on the rows held out.

    likelihood : str, likelihood spec or list of (likelihood, columns), \
            default="gaussian"
        What a row is given its code, by name or as a spec of
        :mod:`skae.likelihoods`:

        ==========================  ================================================
        ``"gaussian"``              squared error; starts at PCA
        ``"gaussian_diag"``         the same of standardised columns, and their PCA
        ``"student_t"``             forgives far values, in units of each column's scale
        ``"bernoulli"``             cross entropy, of values from 0 to 1
        ``"continuous_bernoulli"``  the same, normalised; ink, not photographs
        ``"poisson"``               counts, given their row's total
        ``"negative_binomial"``     counts that vary more, given their row's total
        ``"categorical"``           one-hot columns
        ==========================  ================================================

        The loss is minus the log-probability, but for the Gaussian noise, with scales
        and dispersions that stay what they are at the start.

        A mixed table has a list, as a ColumnTransformer: ``[("gaussian_diag", [0, 1]),
        ("bernoulli", ["smoker"]), ("categorical", ["city_a", "city_b"])]``, with
        columns by number, name, slice (of names with both ends), mask, or a callable
        of X that gives one of these, such as ``make_column_selector``, every column
        once; counts there are counts of their own, without a size. ``"auto"`` looks at
        the columns, and ``likelihood_`` is what it chose.

    n_refinements : "auto" or int, default="auto"
        Steps by which the code of a row is moved from where the trained encoder puts
        it to where the decoder rebuilds the row better, as PCA's code is where PCA
        rebuilds it best; none of them makes the row's loss larger. With 0,
        ``transform`` is the encoder alone, as it is where the start was kept. A step
        decodes the row, and goes back through the decoder once; at most 1000 may be
        asked for. ``"auto"`` is 5 with ``"gaussian"`` or ``"gaussian_diag"``, not in a
        list, up to 10 million ``n_samples * n_features``, else 0; and 0 with
        ``init="random"`` and a factory as encoder, whose codes may be bounded on
        purpose. With these likelihoods and at least 20 rows per column the decoder also
        corrects PCA beyond the codes it was trained on, up to ten times their range.
        ``"auto"`` is decided at the first fit and stays.

    solver : {"adam", "adamw", "sgd", "rmsprop", "adagrad"} or Optimizer class, \
            default="adamw"
        A name, a ``torch.optim.Optimizer`` class, or a ``functools.partial`` of one.
        ``"sgd"`` has Nesterov's momentum of 0.9. With a name, a gradient 2.5 times as
        long as usual is clipped to that, as one of a few far rows would be.

    learning_rate_init : "auto" or float, default="auto"
        Learning rate. Where rows judge and ``warm_start`` is off it falls along a
        line over the second half of ``max_iter``, to 0; when the loss stands still it
        is lowered to a fifth, once. ``"auto"`` is 0.002 for adam and adamw, 0.003 for
        sgd, 0.001 for rmsprop and 0.01 for adagrad, twice that for up to 100 columns,
        and with adamw from 5 million values on; and its own default for a class.

    alpha : "auto" or float, default="auto"
        Weight decay of the networks' matrices, as the solver understands it (an L2
        penalty, or decoupled with adamw). PCA's maps, biases and the noise are free.
        ``"auto"`` is 0.2 with adamw from 5 million values on, an optimizer class's own
        decay, and 0 otherwise.

    batch_size : "auto" or int, default="auto"
        ``"auto"`` is a 16th of the rows as a power of two, between 32 and 256. A batch
        is at most all rows.

    max_iter : "auto" or int, default="auto"
        Largest number of epochs of a training; up to 10,000 rows a second training, on
        all rows, may take as many again (none with ``X_val``, where all of X has
        trained already). 0 is the start itself. ``"auto"`` allows 6,000 updates, and at
        least 20 and at most 300 epochs, but fewer of many columns, so that up to 2,000
        rows 50 million values are read, and in proportion above.

    tol : float, default=1e-3
        Improvement of the loss, as a share of PCA's, that counts for
        ``n_iter_no_change``.

    early_stopping : bool, default=True
        Whether rows are held out to judge when to stop. The weights that are best on
        them are kept, and where the loss is a squared error the decoder's last layer
        is then solved by ridge regression, as strongly as they ask for. The start is
        among the candidates: the network has to be better by Student's test, or
        Wilcoxon's, at 99 % (but see ``warm_start``). The start that is judged has not
        seen the rows that judge; what is returned uses all rows: the start of all rows
        where it won, else, up to 10,000 rows, a network trained again from there for as
        many epochs, which is kept if it was not cut short, is no worse on the rows that
        judge, and has not learned the rows that the first was trained on much further
        than the first had when it was stopped. With fewer than 10 distinct rows the
        start is returned. Rows given to ``fit`` as ``X_val`` judge in either case, and
        all of X trains at once. With False and no ``X_val`` all rows are trained on
        until the loss stands still, and nothing says that the end is better than the
        start.

    validation_fraction : "auto" or float, default="auto"
        Share of the distinct rows that is held out. ``"auto"`` is a third, at most
        500 rows, or a tenth, at most 5,000, whichever is more; fewer could not tell a
        network from its start. Where rows are hardly more than components it is less.

    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement by ``tol`` until the learning rate is lowered, and
        again until training ends. ``"auto"`` is as many as make 300 updates,
        between 10 and 25.

    precision : {"auto", "float32"}, default="auto"
        ``"auto"`` trains large layers with products in bfloat16 where the hardware has
        fast units for them. Weights, and everything after training, are float32 or
        wider.

    device : str or torch.device, default="auto"
        ``"auto"`` is the first of cuda, mps and xpu that is there, else the CPU.

    warm_start : bool, default=False
        Whether ``fit`` goes on from the fitted weights, random stream and optimizer.
        From the first fit on, the epoch that is best on the rows that judge is then
        kept, whether or not it is surely better than the start, no last layer is
        solved, and nothing is trained again on all rows. So the end may be somewhat
        worse than PCA of all rows; where no epoch of the first fit is better (its
        ``best_epoch_`` is 0) it is PCA of the rows that do not judge. What the model
        was made with, such as ``n_components``, has to be as it was.

    random_state : int, RandomState instance or None, default=None
        Seed of the split, the batches and the networks' first weights. None takes
        fresh entropy; NumPy's and torch's global streams are never touched.

    verbose : bool, default=False
        Whether to print each epoch's loss, and why a start was kept.

    Attributes
    ----------
    n_components_ : int
        Size of the code.

    n_features_in_ : int
        Number of columns seen in ``fit``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they are all strings.

    n_iter_ : int
        Epochs run, those of a second training on all rows included.

    mean_ : ndarray of shape (n_features_in_,)
        Mean of the columns, over the rows of the start: all, or those that were not
        held out above 10,000 rows, with ``warm_start``, or where the second training
        was not kept.

    module_ : torch.nn.Module
        The network, on rows measured from ``mean_`` (or from 0 where the
        likelihood is not Gaussian).

    device_ : torch.device
        Where ``module_`` is now.

    loss_curve_ : list of float
        Mean squared error of a row (or deviance) of each epoch, by the codes that the
        encoder gives.

    validation_loss_curve_ : list of float
        The same on the rows that judge, at the start and after each epoch.

    start_loss_ : float
        Loss of the start on the rows that judge: what PCA scores. Where nothing
        is held out, on the training rows.

    best_loss_ : float
        Loss of what was kept, on the same rows; by refined codes and the last layer
        solved, where rows judge. After ``partial_fit`` it is that of the last call's
        rows.

    best_epoch_ : int
        Epoch of the curves after which the weights that were kept stood; 0 is the
        start, whose last layer may have been solved since.

    noise_variance_ : float or ndarray of shape (n_features_in_,)
        Variance of the noise, with a Gaussian likelihood: the squared error of a row,
        on the rows held out, divided by ``n_features - n_components``. Where the start
        was kept, PCA's on all rows. ``sample`` adds no noise in the directions of the
        codes, which hold it already.

    likelihood_ : likelihood spec
        What was fitted, with columns by number.

    latent_density_ : CodeMixture
        What ``sample`` draws codes from: a Gaussian mixture, its size and kind of
        covariance chosen by codes held out, fitted on first use to at most 10,000 codes
        of the training rows; and beside it, with a share of ``kernel_share``, a
        Gaussian about each of up to 1,000 codes, where codes held out are likelier by
        that. Its ``sample(n_samples, random_state)`` draws codes, and ``gaussians()``
        lists named tuples of ``shares``, ``means`` and ``covariances``.

    See Also
    --------
    VAETransformer : A density model that starts as probabilistic PCA.
    sklearn.decomposition.PCA : Where this starts.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import AutoencoderTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = AutoencoderTransformer(8, max_iter=20, random_state=0)
    >>> codes = autoencoder.fit(X[:1500]).transform(X[1500:])
    >>> codes.shape
    (297, 8)
    >>> pca = PCA(8).fit(X[:1500])
    >>> error = X[1500:] - pca.inverse_transform(pca.transform(X[1500:]))
    >>> bool(-autoencoder.score_samples(X[1500:]).mean() < (error**2).sum(1).mean())
    True
    """

    _parameter_constraints: dict = {
        **StreamedAutoencoder._parameter_constraints,
        "n_refinements": [StrOptions({"auto"}), Count(0, MOST_REFINEMENTS)],
    }

    _hidden_state = (*StreamedAutoencoder._hidden_state, "_codes", "_density")

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes="auto",
        activation="silu",
        encoder=None,
        decoder=None,
        init="pca",
        likelihood="gaussian",
        n_refinements="auto",
        solver="adamw",
        learning_rate_init="auto",
        alpha="auto",
        batch_size="auto",
        max_iter="auto",
        tol=1e-3,
        early_stopping=True,
        validation_fraction="auto",
        n_iter_no_change="auto",
        precision="auto",
        device="auto",
        warm_start=False,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.init = init
        self.likelihood = likelihood
        self.n_refinements = n_refinements
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.precision = precision
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def score_samples(self, X):
        """Take minus the squared error of each row: the lower, the more abnormal.

        PCA's error, or the score of a :class:`VAETransformer`, is usually the better
        detector of outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            In the squared units of the rows.
        """
        return self._map(self._check_fitted_X(X), self._score_rows)

    def _score_rows(self, x):
        return -(x - self.module_(x)).square().sum(-1)

    def score(self, X, y=None, sample_weight=None):
        """Share of the variance that the reconstruction explains.

        As ``r2_score(X, reconstruct(X), multioutput="variance_weighted")``, but errors
        in columns that are constant in X count too; PCA's is the sum of its
        ``explained_variance_ratio_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to score, two or more.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            How many times each row counts.

        Returns
        -------
        float
            At most 1; minus infinity where a squared error is beyond the floats that
            the rows are given in, even if the variance is, too.
        """
        rows = self._check_weighted_X(X, sample_weight).present()
        check_has_variance(len(rows))
        X, weight = as_array(rows.X), rows.weight
        with np.errstate(over="ignore", invalid="ignore"):
            error = -(weight @ self._map(X, self._score_rows).astype(np.float64))
            variation = weighted_moments(X, weight)[1].sum() * weight.sum()
        if variation == 0:
            return float(error == 0)
        if error == np.inf:  # and perhaps the variation too
            return -np.inf
        return float(1 - error / variation)

    @property
    def latent_density_(self):
        """Mixture of Gaussians fitted to the codes of the training rows.

        Of a stream, to those that its last 10,000 rows had when they came.
        """
        check_is_fitted(self)
        if self._density is None:
            self._density = fit_code_mixture(self._codes, self._stored.blueprint.seed)
        return self._density

    # Fitted when it is asked for.
    _density: CodeMixture | None = None

    def __dir__(self):
        """Name what is there, but no density before it is fitted: to ask would fit it.

        scikit-learn's own asks for every name, and so does its picture of an estimator.
        """
        waiting = () if self._density else ("latent_density_",)
        names = (name for name in object.__dir__(self) if name not in waiting)
        return [name for name in names if hasattr(self, name)]

    def _draw_codes(self, n_samples, random_state):
        return self.latent_density_.sample(n_samples, random_state)

    def _inferred(self, task, learned):
        """Codes of some training rows, as they are learned from, that stand for all."""
        rows = task.rows.take(representatives(task.rows.weight))
        model, generator = learned.model, generator_from(task.seed, task.device)
        codes = map_blocks(
            lambda x: model.encode(model.likelihood.drawn(x, generator)),
            rows.X,
            task.origin(learned.maps),
            task.device,
            most_rows=rows_at_once(len(rows)),
        )
        codes = as_array(codes)
        if (
            task.occasion.of_stream
        ):  # of which some may go, not those that come first by content
            codes = np.random.RandomState(task.seed).permutation(codes)
        return codes

    def _finish(self, task, learned):
        calibrate(task, learned, self._share_of(task))

    def _attributes(self, task, learned):
        own = {"_codes": self._inferred(task, learned), "_density": None}
        return super()._attributes(task, learned) | own

    def _with_earlier(self, task, attributes):
        codes = np.concatenate([self._codes, attributes["_codes"]])
        joined = super()._with_earlier(task, attributes)
        return joined | {"_codes": codes[-MAX_CODES:]}
